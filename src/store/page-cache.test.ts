import { expect, test } from 'vitest'
import { Errno } from '../lib/system-calls.ts'
import type { StoreFiles } from './files/store-files.ts'
import { PAGE_BYTES } from './layout.ts'
import { PageCache } from './page-cache.ts'

/** A file of which nothing is in the kernel's page cache: each read waits for the test. */
function aColdFile() {
  const arrivals: (() => void)[] = []
  const files = {
    preadNow: () => -Errno.EAGAIN,
    read: (
      _fd: number,
      into: Buffer,
      at: number,
      lengthBytes: number,
      _offset: number,
      done: (result: number) => void,
    ) => {
      arrivals.push(() => {
        into.fill(0xaa, at, at + lengthBytes)
        done(lengthBytes)
      })
    },
  }
  const cache = new PageCache(files as unknown as StoreFiles, 16 * PAGE_BYTES, () => ({
    fd: 3,
    offsetBytes: 0,
  }))
  return { cache, arrivals }
}

test('pages: one that is reset while it is read is not taken for what was read', async () => {
  const { cache, arrivals } = aColdFile()
  const loading = cache.load(7)
  cache.putZeroes(7)
  cache.peek(7)!.words[0] = 42
  arrivals[0]!()
  expect(await loading).toBe(0)
  expect(cache.peek(7)!.words[0]).toBe(42)
})

test('pages: one that is forgotten while it is read is read again by whoever asks next', async () => {
  const { cache, arrivals } = aColdFile()
  const first = cache.load(7)
  cache.forget(7)
  const second = cache.load(7)
  arrivals[0]!()
  expect(await first).toBe(0)
  expect(cache.peek(7)).toBeUndefined()
  arrivals[1]!()
  expect(await second).toBe(0)
  expect(cache.peek(7)!.words[0]).toBe(0xaaaaaaaa)
})
