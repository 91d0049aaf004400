import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { openScrubMemory } from './scrub-memory.ts'

test('scrub: a new directory waits from its first start, then from the last scrub, whoever restarts', async () => {
  using directory = temporaryDirectory('scrub-memory')
  const since = async (nowMs: number) => (await openScrubMemory(directory.path, nowMs)).sinceMs
  expect([await since(1000), await since(5000)]).toEqual([1000, 1000])
  await (await openScrubMemory(directory.path, 6000)).keep(4000)
  expect(await since(7000)).toBe(4000)
  // The clock was set back.
  expect(await since(3000)).toBe(3000)
})

test('scrub: a directory that takes no file keeps nobody from starting', async () => {
  expect((await openScrubMemory('/proc/nothing', 1000)).sinceMs).toBe(1000)
})

test('scrub: a file that is not ours counts as none', async () => {
  using directory = temporaryDirectory('scrub-memory')
  await writeFile(join(directory.path, 'scrubbed.json'), '{"format":"another"}')
  expect((await openScrubMemory(directory.path, 1000)).sinceMs).toBe(1000)
})
