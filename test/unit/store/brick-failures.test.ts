import { expect, test } from 'vitest'
import { BlockKind } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { Errno } from '../../../src/lib/system-calls.ts'
import { slotDataAt } from '../../../src/store/layout.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  blocksOf,
  flush,
  killed,
  MIB,
  openIt,
  read,
  submit,
  write,
  zero,
} from './brick-kit.ts'

test('flush: a failed fdatasync is sticky for the whole brick, and the next process is cold', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.before = call => (call.name === 'fdatasync' && call.file === 'data-0000' ? -Errno.EIO : 0)
  expect(await flush(volume)).toBe(BlockStatus.ioError)
  files.before = () => 0
  expect(await flush(volume)).toBe(BlockStatus.ioError)
  expect(volume.writeNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.ioError)
  expect(volume.readNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.ioError)
  expect((await read(volume, 0, BLOCK)).status).toBe(BlockStatus.ioError)
  expect(brick.failure?.message).toContain('EIO')
  await brick[Symbol.asyncDispose]()
  expect((await aBrick({ directory })).brick.state).toBe('cold')
})

test('flush: all that ask while one runs share the next', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  const before = brick.counters.fdatasyncs
  const flushes = Array.from({ length: 20 }, (_, i) => {
    volume.writeNow(i * BLOCK, BLOCK, blocksOf(i), 0)
    return flush(volume)
  })
  expect(new Set(await Promise.all(flushes))).toEqual(new Set([BlockStatus.ok]))
  expect(brick.counters.fdatasyncs - before).toBeLessThanOrEqual(4)
})

test('flush: the presence of new blocks is synced with them, changed checksums alone are not', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  const synced = async () => {
    files.calls.length = 0
    await flush(volume)
    return files.calls.filter(call => call.name === 'fdatasync').map(call => call.file)
  }
  expect(await synced()).toEqual(['data-0000', 'checksums-0000'])
  volume.writeNow(0, BLOCK, blocksOf(2), 0)
  expect(await synced()).toEqual(['data-0000'])
  expect(await synced()).toEqual([])
  volume.writeNow(BLOCK, BLOCK, blocksOf(2), 0)
  expect(await synced()).toEqual(['data-0000', 'checksums-0000'])
})

test('flush: the first after an open never assumes that the process before flushed', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  const again = await aBrick({ directory: killed(directory) })
  again.files.calls.length = 0
  await flush(await openIt(again.brick))
  expect(again.files.calls.filter(call => call.name === 'fdatasync').map(call => call.file)).toEqual([
    'data-0000',
    'checksums-0000',
  ])
})

test('write: with FUA it is synced before it completes', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  await flush(volume)
  files.calls.length = 0
  await submit(volume, BlockKind.write, 0, BLOCK, blocksOf(2), true)
  expect(files.calls.filter(call => call.file === 'data-0000').map(call => call.name)).toEqual([
    'pwrite',
    'fdatasync',
  ])
})

test('write: activity and stamp are written before the data, activity durably', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  files.calls.length = 0
  await write(volume, 0, blocksOf(1))
  const order = files.calls
    .filter(call => call.name === 'pwrite' || call.name === 'fdatasync')
    .map(call => `${call.name} ${call.file}`)
    .filter(call => !call.endsWith('-0000') || call.startsWith('pwrite'))
  const data = order.lastIndexOf('pwrite data-0000')
  expect(order.indexOf('pwrite activity')).toBeGreaterThanOrEqual(0)
  expect(order.indexOf('fdatasync activity')).toBeGreaterThan(order.indexOf('pwrite activity'))
  expect(order.lastIndexOf('fdatasync activity')).toBeLessThan(data)
  expect(order.lastIndexOf('pwrite stamps-0000')).toBeLessThan(data)
  expect(order.lastIndexOf('pwrite checksums-0000')).toBeGreaterThan(data)
})

test('write: when activity cannot be made durable, nothing is written and the brick leaves service', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  files.before = call => (call.file === 'activity' ? -Errno.EIO : 0)
  expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.ioError)
  expect(brick.failure).not.toBeNull()
})

test('write: an I/O error of the data file is sticky', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.before = call => (call.name === 'pwrite' && call.file === 'data-0000' ? -Errno.EIO : 0)
  expect(volume.writeNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.ioError)
  files.before = () => 0
  expect((await read(volume, 0, BLOCK)).status).toBe(BlockStatus.ioError)
})

test('full: over the limit nothing is applied and nothing is lost; trims make room again', async () => {
  const notices: string[] = []
  const { brick } = await aBrick({ limitBytes: 2 * MIB, notice: ({ message }) => notices.push(message) })
  const volume = await aVolume(brick)
  expect(await write(volume, 0, Buffer.alloc(1.75 * MIB, 1))).toBe(BlockStatus.ok)
  expect(notices).toContain('the brick is nearly full')
  expect(await write(volume, 8 * MIB, Buffer.alloc(MIB, 2))).toBe(BlockStatus.noSpace)
  expect(await zero(volume, 8 * MIB, MIB)).toBe(BlockStatus.noSpace)
  expect(brick.capacity.usedBytes).toBe(1.75 * MIB)
  expect((await read(volume, 8 * MIB, MIB)).data.every(byte => byte === 0)).toBe(true)
  expect(await write(volume, 0, Buffer.alloc(1.75 * MIB, 3))).toBe(BlockStatus.ok)
  await submit(volume, BlockKind.trim, 0, MIB)
  expect(await write(volume, 8 * MIB, Buffer.alloc(MIB, 2))).toBe(BlockStatus.ok)
})

test('full: a disk that cannot reserve a region fails the write and holds no reservation', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.before = call =>
    call.name === 'fallocate' && call.file === 'data-0000' && call.offsetBytes + call.lengthBytes > 65 * MIB
      ? -Errno.ENOSPC
      : 0
  expect(await write(volume, MIB - BLOCK, blocksOf(1, 2))).toBe(BlockStatus.noSpace)
  expect(volume.usedBytes).toBe(256 * 1024)
  expect(volume.writeNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.ok)
  expect(brick.failure).toBeNull()
})

test('full: a disk without room for a new slot fails the write, and the slot is used later', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  files.before = call => (call.name === 'fallocate' && call.file === 'checksums-0000' ? -Errno.ENOSPC : 0)
  expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.noSpace)
  files.before = () => 0
  expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.ok)
})

test.each([
  ['data file', 'pwrite', 'data-0000'],
  ['checksum file', 'pwrite', 'checksums-0000'],
  ['activity page', 'fallocate', 'activity'],
] as const)(
  'full: a disk without room for the first %s fails the write, and the brick goes on',
  async (_, name, file) => {
    const { brick, files } = await aBrick()
    const volume = await aVolume(brick)
    files.before = call => (call.name === name && call.file === file ? -Errno.ENOSPC : 0)
    expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.noSpace)
    expect(brick.failure).toBeNull()
    files.before = () => 0
    expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.ok)
    expect((await read(volume, 0, BLOCK)).data).toEqual(blocksOf(1))
  },
)

test('full: a write cut short by a full disk leaves no block that fails its checksum', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(128 * 1024, 1))
  let writes = 0
  files.isCached = () => false
  files.before = call =>
    call.name === 'pwrite' && call.file === 'data-0000' && ++writes > 2 ? -Errno.ENOSPC : 0
  expect(volume.writeNow(0, 128 * 1024, Buffer.alloc(128 * 1024, 2), 0)).toBe(BlockStatus.noSpace)
  const { status, data } = await read(volume, 0, 128 * 1024)
  expect(status).toBe(BlockStatus.ok)
  expect([data[0], data[96 * 1024]]).toEqual([2, 1])
  expect(brick.counters.checksumErrors).toBe(0)
})

test('dirty cap: a write over it waits for writeback, then goes on', async () => {
  const { brick, files } = await aBrick({ dirtyCapBytes: MIB })
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(2 * MIB, 1))
  await flush(volume)
  let release: () => void = () => undefined
  files.beforeTask = task => (task.writeBack ? new Promise(resolve => (release = resolve)) : undefined)
  expect(volume.writeNow(0, MIB, Buffer.alloc(MIB, 2), 0)).toBe(BlockStatus.ok)
  expect(brick.capacity.dirtyBytes).toBe(MIB)
  expect(volume.writeNow(MIB, BLOCK, blocksOf(3), 0)).toBe(BlockStatus.wouldBlock)
  const waiting = write(volume, MIB, blocksOf(3))
  expect(await Promise.race([waiting, new Promise(resolve => setTimeout(resolve, 30, 'waits'))])).toBe(
    'waits',
  )
  files.beforeTask = () => undefined
  release()
  expect(await waiting).toBe(BlockStatus.ok)
})

test('read: cold blocks come from a thread, verified', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1, 8))
  files.before = call => (call.name === 'preadNow' ? -Errno.EAGAIN : 0)
  expect(volume.readNow(0, 8 * BLOCK, blocksOf(0, 8), 0)).toBe(BlockStatus.wouldBlock)
  expect((await read(volume, 0, 8 * BLOCK)).data).toEqual(blocksOf(1, 8))
  expect(brick.counters.readsWaited).toBe(1)
})

test('read: on a file system that cannot refuse to wait it reads in place', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.before = call => (call.name === 'preadNow' ? -Errno.EOPNOTSUPP : 0)
  const into = blocksOf(0)
  expect(volume.readNow(0, BLOCK, into, 0)).toBe(BlockStatus.ok)
  expect(into).toEqual(blocksOf(1))
})

test('read: a bad sector fails that block only', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1, 8))
  const badAt = 64 * MIB + 3 * BLOCK
  files.before = call => {
    if (call.name === 'preadNow') return -Errno.EAGAIN
    const covers = call.offsetBytes <= badAt && badAt < call.offsetBytes + call.lengthBytes
    return call.file === 'data-0000' && covers ? -Errno.EIO : 0
  }
  const { status, failedAtBytes } = await read(volume, 0, 8 * BLOCK)
  expect([status, failedAtBytes]).toEqual([BlockStatus.mediumError, 3 * BLOCK])
  expect((await read(volume, 0, 3 * BLOCK)).data).toEqual(blocksOf(1, 3))
  expect(brick.failure).toBeNull()
})

test('flush: one that waits behind a failed one, which had taken its writes, fails too', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.before = call => (call.name === 'fdatasync' ? -Errno.EIO : 0)
  const statuses = await Promise.all([flush(volume), flush(volume), flush(volume)])
  expect(statuses).toEqual([BlockStatus.ioError, BlockStatus.ioError, BlockStatus.ioError])
})

test('flush: who waits for room under the dirty cap hears that it failed', async () => {
  const { brick, files } = await aBrick({ dirtyCapBytes: MIB })
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(14 * 64 * 1024, 1))
  let release = () => {}
  const held = new Promise<void>(isHeld => {
    files.beforeTask = task => {
      if (task.sync === undefined) return
      files.beforeTask = () => undefined
      isHeld()
      return new Promise<void>(resolve => {
        release = resolve
      })
    }
  })
  const flushing = flush(volume)
  await held
  const writing = write(volume, 2 * MIB, Buffer.alloc(256 * 1024, 2))
  await new Promise(resolve => setTimeout(resolve, 50))
  files.before = ({ name, file }) => (name === 'fdatasync' && file === 'data-0000' ? -Errno.EIO : 0)
  release()
  expect([await flushing, await writing]).toEqual([BlockStatus.ioError, BlockStatus.ioError])
  expect(brick.failure).not.toBeNull()
})

test('read: of a run in which the disk fails only the bad block does, and no read of it holds up the event loop', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, Buffer.concat([blocksOf(1), blocksOf(2), blocksOf(3), blocksOf(4)]))
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory })
  const volume = await openIt(again.brick)
  const bad = slotDataAt(0) + 2 * BLOCK
  again.files.before = ({ name, file, offsetBytes, lengthBytes }) => {
    if (file !== 'data-0000') return 0
    if (name === 'preadNow') return -Errno.EAGAIN
    return offsetBytes <= bad && bad < offsetBytes + lengthBytes ? -Errno.EIO : 0
  }
  const { status, failedAtBytes } = await read(volume, 0, 4 * BLOCK)
  expect([status, failedAtBytes]).toEqual([BlockStatus.mediumError, 2 * BLOCK])
  expect((await read(volume, 0, 2 * BLOCK)).data.subarray(BLOCK)).toEqual(blocksOf(2))
  const waiting = again.files.calls.filter(
    ({ name, offsetBytes }) => name === 'pread' && offsetBytes >= slotDataAt(0),
  )
  expect([waiting, again.brick.counters.checksumErrors]).toEqual([[], 1])
})
