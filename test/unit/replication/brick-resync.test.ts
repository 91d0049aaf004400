import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { slotDataAt } from '../../../src/store/layout.ts'
import type { ReplicaVolume } from '../../../src/store/replica-store.ts'
import { seeded } from '../../crash/random.ts'
import { BrickCluster, type BrickClusterOptions } from '../../lib/brick-cluster.ts'

const KIB = 1024
const MIB = 1024 * KIB
const BLOCK = 4 * KIB
const SIZE = 1024 * MIB
const REGIONS = SIZE / (256 * KIB)
const OTHER_BOOT = '0b0070ac-8e1d-4e0f-9e42-0a4c6a7e1002'
const LONG = { timeout: 60_000, interval: 50 }
const LIMIT = { timeout: 180_000 }

// A loaded machine's disk is slower than a member may be.
const config = { ejectAfterMs: 5_000 }

async function aCluster(options: Partial<BrickClusterOptions> = {}): Promise<BrickCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-resync-'))
  const cluster = await BrickCluster.start({ directory, peers: 3, sizeBytes: SIZE, config, ...options })
  onTestFinished(async () => {
    await cluster[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }, 30_000)
  return cluster
}

function blockOf(value: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.writeUInt32LE(value)
  return block.fill(block.subarray(0, 4))
}

/** `count` blocks at places that `random` chooses, durably. */
async function scatter(cluster: BrickCluster, random: () => number, count: number): Promise<void> {
  const writes: Promise<number>[] = []
  for (let i = 0; i < count; i++) {
    const block = Math.floor(random() * (SIZE / BLOCK))
    writes.push(cluster.write(block * BLOCK, blockOf(1 + Math.floor(random() * 1e9))))
    if (writes.length === 32)
      for (const status of await Promise.all(writes.splice(0))) expect(status).toBe(BlockStatus.ok)
  }
  for (const status of await Promise.all(writes)) expect(status).toBe(BlockStatus.ok)
  expect(await cluster.flush()).toBe(BlockStatus.ok)
}

async function hashes(replica: ReplicaVolume): Promise<string[]> {
  return (await replica.digestRegions(0, REGIONS)).map(({ hash }) => hash)
}

async function expectAlike(cluster: BrickCluster, ...peers: number[]): Promise<void> {
  const [first, ...rest] = await Promise.all(peers.map(peer => hashes(cluster.replica(peer))))
  for (const other of rest) expect(other.filter((hash, region) => hash !== first![region])).toEqual([])
}

function copiesDone(cluster: BrickCluster): number {
  return cluster.events.filter(event => event.startsWith('copy.done')).length
}

test('resync: what was missed moves over the wire, and little more', LIMIT, async () => {
  const cluster = await aCluster()
  await cluster.write(0, Buffer.alloc(8 * MIB, 7))
  await scatter(cluster, seeded(1), 100)
  await cluster.cutOff(3)
  const missedBlocks = 800
  await scatter(cluster, seeded(2), missedBlocks)
  await expect.poll(() => cluster.sets(), LONG).toEqual({ inSync: [1, 2], out: [3] })
  const before = cluster.wireBytes(3)
  await cluster.start(3)
  await expect.poll(() => copiesDone(cluster), LONG).toBe(1)
  const movedBytes = cluster.wireBytes(3) - before
  expect(movedBytes).toBeLessThan(1.5 * missedBlocks * BLOCK + MIB)
  expect(cluster.sets()).toEqual({ inSync: [1, 2, 3], out: [] })
  await expectAlike(cluster, 1, 2, 3)
})

test('resync: a joiner that goes away again and again, under writes, ends up equal', LIMIT, async () => {
  const cluster = await aCluster()
  const random = seeded(3)
  await scatter(cluster, random, 100)
  await cluster.cutOff(3)
  await scatter(cluster, random, 150)
  await expect.poll(() => cluster.sets().out, LONG).toEqual([3])
  for (let round = 0; round < 4; round++) {
    await cluster.start(3)
    await Promise.all([
      scatter(cluster, random, 60),
      new Promise(resolve => setTimeout(resolve, random() * 400)),
    ])
    await cluster.cutOff(3)
  }
  await cluster.start(3)
  await scatter(cluster, random, 60)
  await expect.poll(() => cluster.sets(), LONG).toEqual({ inSync: [1, 2, 3], out: [] })
  await cluster.flush()
  await expectAlike(cluster, 1, 2, 3)
})

test('resync: a brick whose machine rebooted is cold until it has been compared', LIMIT, async () => {
  const cluster = await aCluster()
  await scatter(cluster, seeded(4), 50)
  await cluster.cutOff(3)
  await scatter(cluster, seeded(5), 20)
  await expect.poll(() => cluster.sets().out, LONG).toEqual([3])
  await cluster.start(3, OTHER_BOOT)
  await expect.poll(() => cluster.sets(), LONG).toEqual({ inSync: [1, 2, 3], out: [] })
  expect([cluster.brick(3).state, cluster.replica(3).suspectSegments()]).toEqual(['warm', []])
  await expectAlike(cluster, 1, 2, 3)
})

test('move: the range is on the new brick, and the old one has given its space back', LIMIT, async () => {
  let isWanted = false
  const wanted = () => (isWanted ? [{ range: 0, joins: 4, leaves: 3 }] : [])
  const cluster = await aCluster({
    peers: 4,
    placement: [1, 2, 3],
    planner: { wanted, substitute: () => null, isFull: () => false },
  })
  await scatter(cluster, seeded(6), 80)
  await cluster.trim(0, 64 * MIB)
  isWanted = true
  await Promise.all([
    scatter(cluster, seeded(7), 80),
    expect.poll(() => cluster.sets(), LONG).toEqual({ inSync: [1, 2, 4], out: [] }),
  ])
  await expectAlike(cluster, 1, 2, 4)
  await expect.poll(() => cluster.replica(3).usedBytes, LONG).toBe(0)
})

test(
  "move: what is written to the owner's own brick, which has just got the range, is cleared as elsewhere",
  LIMIT,
  async () => {
    const wanted = () => [{ range: 0, joins: 1, leaves: 4 }]
    const planner = { wanted, substitute: () => null, isFull: () => false }
    const cluster = await aCluster({ peers: 4, placement: [2, 3, 4], planner })
    await expect.poll(() => cluster.sets(), LONG).toEqual({ inSync: [1, 2, 3], out: [] })
    await cluster.write(40 * MIB, Buffer.alloc(MIB, 7))
    expect(cluster.quietSegments()).toContain(10)
  },
)

test('scrub: a block that rotted on a member is repaired by the owner from another one', LIMIT, async () => {
  const cluster = await aCluster()
  await cluster.write(0, Buffer.alloc(MIB, 7))
  await cluster.flush()
  const fd = openSync(join(cluster.directory(2), 'data-0000'), 'r+')
  writeSync(fd, blockOf(9), 0, BLOCK, slotDataAt(0) + 5 * BLOCK)
  closeSync(fd)
  const block = Buffer.alloc(BLOCK)
  const replica = cluster.replica(2)
  expect(replica.readNow(5 * BLOCK, BLOCK, block, 0)).toBe(BlockStatus.mediumError)
  cluster.brick(2).startScrub()
  await expect.poll(() => replica.readNow(5 * BLOCK, BLOCK, block, 0), LONG).toBe(BlockStatus.ok)
  expect(block.equals(Buffer.alloc(BLOCK, 7))).toBe(true)
  await expectAlike(cluster, 1, 2, 3)
})
