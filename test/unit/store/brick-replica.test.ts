import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { Errno } from '../../../src/lib/system-calls.ts'
import { STAMP_UNKNOWN, slotDataAt } from '../../../src/store/layout.ts'
import type { ReplicaVolume } from '../../../src/store/replica-store.ts'
import {
  aBrick,
  BLOCK,
  BOOT_2,
  blocksOf,
  flush,
  killed,
  MIB,
  read,
  type TestBrick,
  trim,
  VOLUME,
  write,
  zero,
} from './brick-kit.ts'

const KIB_256 = 256 * 1024
const GIB = 1024 * MIB

async function aReplica({ brick }: TestBrick, sizeBytes = 256 * MIB): Promise<ReplicaVolume> {
  const volume = await brick.replicas.createVolume({ uuid: VOLUME, sizeBytes, epoch: 1, setVersion: 1 })
  volume.generation = 1
  return volume
}

function replicaOf({ brick }: TestBrick): ReplicaVolume {
  const volume = brick.replicas.volume(VOLUME)
  if (volume === null) throw new Error('the brick does not know the volume')
  return volume
}

function opened(directory: string, bootId?: string): Promise<TestBrick> {
  return aBrick({
    directory,
    blocksInDoubt: 'are bad',
    ...(bootId === undefined ? {} : { bootId: () => bootId }),
  })
}

function damage(directory: string, block: number): void {
  const fd = fs.openSync(path.join(directory, 'data-0000'), 'r+')
  fs.writeSync(fd, blocksOf(0xdd), 0, BLOCK, slotDataAt(0) + block * BLOCK)
  fs.closeSync(fd)
}

const hashes = async (volume: ReplicaVolume, first: number, count: number) =>
  (await volume.digestRegions(first, count)).map(({ hash }) => hash)
const stamps = async (volume: ReplicaVolume, first: number, count: number) =>
  (await volume.digestRegions(first, count)).map(({ stamp }) => stamp)

test('digest: regions with equal contents have equal hashes on two bricks, however they came to be', async () => {
  const one = await aReplica(await aBrick())
  const other = await aReplica(await aBrick())
  await write(one, 0, blocksOf(1, 64))
  for (let block = 63; block >= 0; block--) await write(other, block * BLOCK, blocksOf(1))
  // Zeroes: never written, written, zeroed, and trimmed.
  await write(one, KIB_256, blocksOf(0, 64))
  await zero(one, 2 * KIB_256, KIB_256)
  await write(one, 3 * KIB_256, blocksOf(7, 64))
  await trim(one, 3 * KIB_256, KIB_256)
  await write(one, 4 * KIB_256, blocksOf(2))
  await write(other, 4 * KIB_256, blocksOf(3))
  const [mine, theirs] = [await hashes(one, 0, 6), await hashes(other, 0, 6)]
  expect(mine.slice(0, 4)).toEqual(theirs.slice(0, 4))
  expect(new Set(mine.slice(1, 4)).size).toBe(1)
  expect(mine[4]).not.toBe(theirs[4])
  expect(mine[5]).toBe(theirs[5])
  expect(mine[0]).toMatch(/^[0-9a-f]{32}$/)
  expect(await hashes(one, 900, 1)).toEqual(mine.slice(5))
})

test('entries: one per block, and those of equal blocks are equal on two bricks', async () => {
  const one = await aReplica(await aBrick())
  const other = await aReplica(await aBrick())
  await write(one, 0, Buffer.concat([blocksOf(1), blocksOf(2)]))
  await write(other, 0, Buffer.concat([blocksOf(1), blocksOf(9)]))
  await trim(one, 2 * BLOCK, BLOCK)
  const [mine, theirs] = [await one.blockEntries(0), await other.blockEntries(0)]
  expect([...mine].slice(2, 4)).toEqual([1, 0])
  expect(mine[0]).toBe(theirs[0])
  expect(mine[1]).not.toBe(theirs[1])
})

test('stamps: regions are found by the generation of their last write or trim', async () => {
  const volume = await aReplica(await aBrick())
  await write(volume, 0, blocksOf(1))
  await write(volume, 2 * KIB_256, blocksOf(1))
  await write(volume, 70 * MIB, blocksOf(1))
  volume.generation = 2
  await trim(volume, 2 * KIB_256, BLOCK)
  volume.generation = 3
  await write(volume, 70 * MIB, blocksOf(2))
  expect(await volume.regionsSince(1, 0, 100)).toEqual([0, 2, 280])
  expect(await volume.regionsSince(2, 0, 100)).toEqual([2, 280])
  expect(await volume.regionsSince(3, 0, 100)).toEqual([280])
  expect(await volume.regionsSince(1, 1, 1)).toEqual([2])
  expect(await stamps(volume, 0, 3)).toEqual([1, 0, 2])
})

test('stamps: full comparison names every region of every slot, and none past the end', async () => {
  const volume = await aReplica(await aBrick(), 65 * MIB)
  await write(volume, 64 * MIB, blocksOf(1))
  expect(await volume.regionsSince(0, 0, 1000)).toEqual([256, 257, 258, 259])
})

test('leaving: all regions of active segments take the stamp, clean ones do not', async () => {
  const volume = await aReplica(await aBrick())
  await write(volume, 0, blocksOf(1))
  await write(volume, 8 * MIB, blocksOf(1))
  await volume.clearSegments([0])
  await volume.stampActive(5)
  expect(await volume.regionsSince(5, 0, 100)).toEqual(Array.from({ length: 16 }, (_, i) => 32 + i))
  expect(volume.activeSegments()).toEqual([2])
})

test('copy: the region takes the larger stamp, and a later write of a client stamps it anew', async () => {
  const volume = await aReplica(await aBrick())
  volume.generation = 9
  expect(await volume.copyIn(0, 2 * BLOCK, blocksOf(1, 3), BLOCK, 4)).toBe(BlockStatus.ok)
  expect(await volume.copyIn(BLOCK, BLOCK, blocksOf(2), 0, 3)).toBe(BlockStatus.ok)
  expect(await stamps(volume, 0, 1)).toEqual([4])
  expect((await read(volume, 0, 3 * BLOCK)).data).toEqual(
    Buffer.concat([blocksOf(1), blocksOf(2), blocksOf(0)]),
  )
  await write(volume, 0, blocksOf(3))
  expect(await stamps(volume, 0, 1)).toEqual([9])
})

test('copy: what is copied over what is there waits for room under the dirty cap, as writes do', async () => {
  const { brick, files } = await aBrick({ dirtyCapBytes: 2 * MIB })
  const volume = await brick.replicas.createVolume({
    ...{ uuid: VOLUME, sizeBytes: 64 * MIB, epoch: 1, setVersion: 1 },
  })
  volume.generation = 1
  for (let at = 0; at < 6 * MIB; at += MIB) await write(volume, at, Buffer.alloc(MIB, 1))
  await flush(volume)
  let letGo: () => void = () => undefined
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  files.beforeTask = task => (task.writeBack === undefined ? undefined : held)
  let copied = 0
  const copying = (async () => {
    for (let at = 0; at < 6 * MIB; at += MIB) {
      expect(await volume.copyIn(at, MIB, Buffer.alloc(MIB, 2), 0, 1)).toBe(BlockStatus.ok)
      copied += MIB
    }
  })()
  await new Promise(resolve => setTimeout(resolve, 200))
  expect(copied).toBeLessThanOrEqual(2 * MIB)
  letGo()
  await copying
  expect((await read(volume, 5 * MIB, MIB)).data).toEqual(Buffer.alloc(MIB, 2))
})

test('copy: it survives a kill like a write, in active segments', async () => {
  const made = await aBrick()
  const volume = await aReplica(made)
  await volume.copyIn(60 * MIB, 8 * MIB, Buffer.alloc(8 * MIB, 5), 0, 1)
  expect(volume.activeSegments().slice(0, 2)).toEqual([15, 16])
  expect(await flush(volume)).toBe(BlockStatus.ok)
  const again = replicaOf(await opened(killed(made.directory)))
  const found = await read(again, 60 * MIB, 8 * MIB)
  expect([found.status, found.data.equals(Buffer.alloc(8 * MIB, 5))]).toEqual([BlockStatus.ok, true])
})

test('copy: a trim keeps its stamp where there was nothing, and the next flush makes it durable', async () => {
  const made = await aBrick()
  const volume = await aReplica(made)
  await write(volume, 0, blocksOf(1, 64))
  expect(await volume.trimIn(0, KIB_256, 6)).toBe(BlockStatus.ok)
  expect(await volume.trimIn(100 * MIB, KIB_256, 7)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(0)
  expect(await volume.regionsSince(6, 0, 10)).toEqual([0, 400])
  await volume.clearSegments(volume.activeSegments())
  made.files.calls.length = 0
  await volume.raiseStamp(0, 8)
  await flush(volume)
  const synced = made.files.calls.filter(({ name }) => name === 'fdatasync').map(({ file }) => file)
  expect(synced).toContain('stamps-0000')
  expect(await stamps(volume, 0, 1)).toEqual([8])
})

test('bad: marked blocks cannot be read until they are written or repaired', async () => {
  const volume = await aReplica(await aBrick())
  await write(volume, 0, blocksOf(1, 4))
  expect(await volume.markBad(BLOCK, 2 * BLOCK, 1)).toBe(BlockStatus.ok)
  expect(await volume.markBad(MIB, BLOCK, 1)).toBe(BlockStatus.ok)
  expect(await read(volume, 0, 4 * BLOCK)).toMatchObject({
    status: BlockStatus.mediumError,
    failedAtBytes: BLOCK,
  })
  expect((await read(volume, MIB, BLOCK)).status).toBe(BlockStatus.mediumError)
  expect(await volume.repair(BLOCK, 2 * BLOCK, blocksOf(7, 2), 0)).toBe(BlockStatus.ok)
  expect((await read(volume, 0, 4 * BLOCK)).data).toEqual(
    Buffer.concat([blocksOf(1), blocksOf(7, 2), blocksOf(1)]),
  )
})

test('reserve: all regions of a range get space, or none', async () => {
  const made = await aBrick({ limitBytes: MIB })
  const volume = await aReplica(made)
  expect(await volume.reserve(KIB_256 - BLOCK, 2 * BLOCK)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(2 * KIB_256)
  expect(await volume.reserve(4 * MIB, MIB)).toBe(BlockStatus.noSpace)
  expect(volume.usedBytes).toBe(2 * KIB_256)
  made.files.before = ({ name }) => (name === 'fallocate' ? -Errno.ENOSPC : 0)
  expect(await volume.reserve(2 * KIB_256, 1)).toBe(BlockStatus.noSpace)
  expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.ok)
})

test('descriptor: it is there after a kill, and never falls behind', async () => {
  const made = await aBrick()
  const volume = await aReplica(made)
  const persisted = { epoch: 4, setVersion: 2, fencedBy: 'a process' }
  await volume.persistDescriptor(persisted)
  expect(volume.descriptor).toEqual(persisted)
  await expect(volume.persistDescriptor({ epoch: 3, setVersion: 9 })).rejects.toThrow('never falls behind')
  await made.brick.replicas.growVolume(VOLUME, 512 * MIB)
  expect(volume.descriptor).toEqual(persisted)
  const again = replicaOf(await opened(killed(made.directory)))
  expect(again.descriptor).toEqual(persisted)
  expect((await opened(killed(made.directory))).brick.replicas.volume(crypto.randomUUID())).toBeNull()
})

test('kill: with others to ask, what differs in an active segment is bad until one is written over it', async () => {
  const made = await aBrick()
  await write(await aReplica(made), 0, blocksOf(1, 3))
  const copy = killed(made.directory)
  damage(copy, 1)
  const again = await opened(copy)
  const volume = replicaOf(again)
  expect(again.brick.state).toBe('warm')
  expect(volume.suspectSegments()).toEqual([])
  expect(await read(volume, 0, 3 * BLOCK)).toMatchObject({
    status: BlockStatus.mediumError,
    failedAtBytes: BLOCK,
  })
  const whole = await aReplica(await aBrick())
  await write(whole, 0, blocksOf(1, 3))
  expect(await hashes(volume, 0, 1)).not.toEqual(await hashes(whole, 0, 1))
  const [mine, theirs] = [await volume.blockEntries(0), await whole.blockEntries(0)]
  expect([...mine.keys()].filter(block => mine[block] !== theirs[block])).toEqual([1])
  await volume.clearSegments([0])
  expect(volume.activeSegments()).toEqual([0])
  expect(volume.quietSegments(Number.POSITIVE_INFINITY, 10)).toEqual([])
  await volume.repair(BLOCK, BLOCK, blocksOf(1), 0)
  expect(await hashes(volume, 0, 1)).toEqual(await hashes(whole, 0, 1))
  await volume.trustSegments([0])
  await volume.clearSegments([0])
  expect(volume.activeSegments()).toEqual([])
})

test('kill: with nobody to ask, what differs in an active segment stands on the word of the owner', async () => {
  const made = await aBrick()
  await write(await aReplica(made), 0, blocksOf(1, 3))
  const copy = killed(made.directory)
  damage(copy, 1)
  const volume = replicaOf(await opened(copy))
  expect((await read(volume, 0, 3 * BLOCK)).status).toBe(BlockStatus.mediumError)
  volume.standsAlone = true
  expect((await read(volume, 0, 3 * BLOCK)).data).toEqual(
    Buffer.concat([blocksOf(1), blocksOf(0xdd), blocksOf(1)]),
  )
  await volume.clearSegments([0])
  expect(volume.activeSegments()).toEqual([])
})

test('reboot: active segments are suspect at every open until the owner trusts them', async () => {
  const made = await aBrick()
  const first = await aReplica(made)
  await write(first, 0, blocksOf(1))
  await write(first, 64 * MIB, blocksOf(1))
  await write(first, 128 * MIB, blocksOf(1))
  await first.clearSegments([32])
  const copy = killed(made.directory)
  expect(replicaOf(await opened(copy, BOOT_2)).suspectSegments()).toEqual([0, 16])
  const restarted = await opened(killed(copy), BOOT_2)
  const volume = replicaOf(restarted)
  expect(restarted.brick.replicas.state).toBe('cold')
  expect(await volume.regionsSince(STAMP_UNKNOWN, 0, 100)).toHaveLength(32)
  await volume.trustSegments([0])
  expect(volume.suspectSegments()).toEqual([16])
  expect(restarted.brick.state).toBe('cold')
  await volume.trustSegments([16])
  expect(restarted.brick.state).toBe('warm')
  await restarted.brick[Symbol.asyncDispose]()
  expect((await opened(restarted.directory, BOOT_2)).brick.state).toBe('warm')
})

test('failed fsync: the next process suspects everything, and full comparison follows from the stamps', async () => {
  const made = await aBrick()
  const first = await aReplica(made)
  await write(first, 0, blocksOf(1))
  await flush(first)
  await first.clearSegments([0])
  made.files.before = ({ name, file }) => (name === 'fdatasync' && file === 'data-0000' ? -Errno.EIO : 0)
  await write(first, 8 * MIB, blocksOf(1))
  expect(await flush(first)).toBe(BlockStatus.ioError)
  made.files.before = () => 0
  await made.brick[Symbol.asyncDispose]()
  const again = await opened(made.directory)
  const volume = replicaOf(again)
  const all = Array.from({ length: 16 }, (_, segment) => segment)
  expect(again.brick.state).toBe('cold')
  expect(volume.suspectSegments()).toEqual(all)
  volume.generation = 5
  await expect.poll(() => stamps(volume, 0, 256)).toEqual(Array(256).fill(5))
  await again.brick[Symbol.asyncDispose]()
  const third = await opened(made.directory)
  expect(replicaOf(third).suspectSegments()).toEqual(all)
  await replicaOf(third).trustSegments(all)
  expect(third.brick.state).toBe('warm')
})

test('stamps: unknown ones that an owner never turned into a generation wait for the next', async () => {
  const made = await aBrick()
  const volume = await made.brick.replicas.createVolume({
    uuid: VOLUME,
    sizeBytes: 64 * MIB,
    epoch: 1,
    setVersion: 1,
  })
  await write(volume, 0, blocksOf(1))
  await volume.clearSegments([0])
  await made.brick[Symbol.asyncDispose]()
  const again = replicaOf(await opened(made.directory))
  expect(await stamps(again, 0, 1)).toEqual([STAMP_UNKNOWN])
  again.generation = 3
  await expect.poll(() => stamps(again, 0, 1)).toEqual([3])
})

test('free: the slots of a range go, are used again without a trace, and other ranges stay', async () => {
  const made = await aBrick()
  const volume = await aReplica(made, 12 * GIB)
  for (const at of [0, 4 * GIB, 4 * GIB + 100 * MIB, 8 * GIB]) await write(volume, at, blocksOf(6, 64))
  await flush(volume)
  await volume.freeRanges([1])
  expect(volume.usedBytes).toBe(2 * KIB_256)
  expect(await volume.regionsSince(0, 16384, 1)).toEqual([32768])
  expect((await read(volume, 4 * GIB, BLOCK)).data).toEqual(blocksOf(0))
  for (const at of [0, 8 * GIB]) expect((await read(volume, at, BLOCK)).data).toEqual(blocksOf(6))
  await write(volume, 5 * GIB, blocksOf(7))
  expect((await read(volume, 5 * GIB, 2 * BLOCK)).data).toEqual(Buffer.concat([blocksOf(7), blocksOf(0)]))
  expect(await stamps(volume, 20480, 2)).toEqual([1, 0])
  const again = replicaOf(await opened(killed(made.directory)))
  expect((await read(again, 4 * GIB, KIB_256)).data).toEqual(Buffer.alloc(KIB_256))
})

test('free: a slot is not emptied under a read that had begun', async () => {
  const made = await aBrick()
  const volume = await aReplica(made)
  await write(volume, 0, blocksOf(6))
  let goOn: () => void = () => undefined
  const begun = new Promise<void>(resolve => {
    made.files.before = ({ name }) => {
      if (name === 'preadNow') return -Errno.EAGAIN
      return 0
    }
    const { read: readLater } = made.files
    made.files.read = (fd, into, at, lengthBytes, offsetBytes, done) => {
      goOn = () => readLater.call(made.files, fd, into, at, lengthBytes, offsetBytes, done)
      resolve()
    }
  })
  const reading = read(volume, 0, BLOCK)
  await begun
  const order: string[] = []
  const freed = volume.freeRanges([0]).then(() => order.push('freed'))
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(
    made.files.calls.some(({ name, lengthBytes }) => name === 'fallocate' && lengthBytes === 64 * MIB),
  ).toBe(false)
  goOn()
  const { status, data } = await reading
  order.unshift('read')
  await freed
  expect(order).toEqual(['read', 'freed'])
  expect({ status, data }).toEqual({ status: BlockStatus.ok, data: blocksOf(6) })
})
