import { expect, test } from 'vitest'
import { realFiles } from '../../../src/store/files/store-files.ts'
import { aBrick, aVolume, BLOCK, blocksOf, KIB, MIB, read, write } from './brick-kit.ts'
import type { FileCall } from './faulty-files.ts'

/** The file's own header is a block. */
const isData = ({ name, file, lengthBytes }: FileCall) =>
  name === 'pwrite' && file === 'data-0000' && lengthBytes > BLOCK
const data = (value: number) => blocksOf(value, MIB / BLOCK)

test('large writes: in small pieces into what the page cache has not, whole into what it has', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  let cached = false
  files.isCached = (_fd, _offsetBytes, lengthBytes) => cached && lengthBytes === MIB
  const pieces = async (value: number) => {
    files.calls.length = 0
    await write(volume, 0, data(value))
    return files.calls.filter(isData)
  }
  expect((await pieces(1)).map(call => call.lengthBytes)).toEqual(new Array(32).fill(32 * KIB))
  cached = true
  expect((await pieces(2)).map(call => call.lengthBytes)).toEqual([MIB])
  expect((await read(volume, 0, MIB)).data.equals(data(2))).toBe(true)
})

test('large writes: what was written is known to be cached, and a hole is not', async context => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, data(1))
  const at = files.calls.find(isData)!.offsetBytes
  const fd = realFiles.open(`${directory}/data-0000`, false)
  try {
    if (!realFiles.isCached(fd, at, BLOCK)) return context.skip('this kernel has no cachestat(2)')
    expect(realFiles.isCached(fd, at, MIB)).toBe(true)
    expect(realFiles.isCached(fd, at + MIB / 2, MIB)).toBe(false)
  } finally {
    realFiles.close(fd)
  }
})
