import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ManualTimers } from '../../../test/lib/manual-timers.ts'
import { MemoryExtents } from '../../../test/lib/memory-extents.ts'
import { MemoryStateStorage } from '../../../test/lib/memory-state-storage.ts'
import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { OwnedVolume } from '../owned-volume.ts'
import type { Reservations } from '../reservations.ts'
import { Sanitization } from '../sanitize/sanitization.ts'
import type { VolumeHandle } from '../volume.ts'
import { AMPLE_SPACE } from '../volume-space.ts'
import { NO_LIMITS } from './volume-limits.ts'

const SIZE = 2 ** 20
const BLOCK = 4096
const permitAll = { permits: () => true } as unknown as Reservations
const client = { protocol: 'nbd', name: 'one' } as const

class World {
  readonly timers = new ManualTimers()
  readonly extents = new MemoryExtents(SIZE)
  readonly volume: OwnedVolume
  /** In the order of their ends. */
  readonly ended: { readonly name: string; readonly status: BlockStatus }[] = []

  constructor(limits = {}) {
    const storage = new MemoryStateStorage()
    const sanitization = new Sanitization({ storage, bytesPerSecond: Number.POSITIVE_INFINITY })
    const description = {
      name: 'v',
      uuid: '00000000-0000-4000-8000-000000000000',
      naa: Buffer.alloc(16),
      blockSizeBytes: 512 as const,
      sizeBytes: SIZE,
      readOnly: false,
      removable: false,
    }
    const state = { reservations: permitAll, sanitization, space: AMPLE_SPACE }
    this.volume = new OwnedVolume(description, this.extents, state)
    this.limit(limits)
  }

  limit(limits: object): void {
    this.volume.limit({ ...NO_LIMITS, ...limits }, this.timers)
  }

  submit(handle: VolumeHandle, name: string, lengthBytes = BLOCK, kind: BlockKind = BlockKind.write) {
    const operation = new BlockOperation({
      blockDone: ({ status }) => void this.ended.push({ name, status }),
    })
    Object.assign(operation, { kind, lengthBytes, data: Buffer.alloc(2 * lengthBytes) })
    handle.submit(operation)
    return operation
  }

  /** What the loop of events does between two moments. */
  async pass(ms: number): Promise<string[]> {
    this.timers.pass(ms)
    for (let turn = 0; turn < 4; turn++) await new Promise(resolve => setImmediate(resolve))
    return this.names
  }

  get names(): string[] {
    return this.ended.map(({ name }) => name)
  }
}

describe('a limited volume', () => {
  test('the burst goes through at once, the rest waits its turn and nothing overtakes', async () => {
    const world = new World({ iops: 10, iopsBurst: 2 })
    const [one, other] = [world.volume.open(client), world.volume.open({ protocol: 'nbd', name: 'other' })]
    for (const name of ['a', 'b', 'c', 'd']) world.submit(name < 'd' ? one : other, name)
    expect(await world.pass(0)).toEqual(['a', 'b'])
    expect(await world.pass(99)).toEqual(['a', 'b'])
    expect(other.readNow(0, BLOCK, Buffer.alloc(BLOCK), 0)).toBe(BlockStatus.wouldBlock)
    expect(await world.pass(1)).toEqual(['a', 'b', 'c'])
    expect(await world.pass(100)).toEqual(['a', 'b', 'c', 'd'])
    expect(world.volume.throttled).toEqual({ operations: 2, waitedMs: 300 })
  })

  test('operations that finish in place are paid for like the others, of every client together', () => {
    const world = new World({ iops: 10, iopsBurst: 3 })
    const [one, other] = [world.volume.open(client), world.volume.open({ protocol: 'nbd', name: 'other' })]
    const into = Buffer.alloc(BLOCK)
    expect(one.readNow(0, BLOCK, into, 0)).toBe(BlockStatus.ok)
    expect(one.writeNow(0, BLOCK, into, 0)).toBe(BlockStatus.ok)
    expect(other.readNow(0, BLOCK, into, 0)).toBe(BlockStatus.ok)
    expect(other.readNow(0, BLOCK, into, 0)).toBe(BlockStatus.wouldBlock)
    expect(one.writeNow(0, BLOCK, into, 0)).toBe(BlockStatus.wouldBlock)
  })

  test('what would not finish in place is paid for once', async () => {
    const world = new World({ iops: 10, iopsBurst: 2 })
    world.extents.neverInline = true
    const handle = world.volume.open(client)
    for (const name of ['a', 'b']) {
      expect(handle.readNow(0, BLOCK, Buffer.alloc(BLOCK), 0)).toBe(BlockStatus.wouldBlock)
      world.submit(handle, name, BLOCK, BlockKind.read)
    }
    expect(await world.pass(0)).toEqual(['a', 'b'])
  })

  test('bandwidth counts the data; trims, zeroes and flushes cost an operation and no bytes', async () => {
    const world = new World({ bytesPerSecond: 8192, burstBytes: 8192, iops: 3 })
    const handle = world.volume.open(client)
    world.submit(handle, 'write', 8192)
    world.submit(handle, 'trim', 8192, BlockKind.trim)
    world.submit(handle, 'flush', 0, BlockKind.flush)
    expect(await world.pass(0)).toEqual(expect.arrayContaining(['write', 'trim', 'flush']))
    world.submit(handle, 'read', 4096, BlockKind.read)
    expect((await world.pass(499)).length).toBe(3)
    expect((await world.pass(1)).length).toBe(4)
  })

  test('an operation larger than the burst waits for a full bucket, and the next one pays for it', async () => {
    const world = new World({ bytesPerSecond: 100_000, burstBytes: 10_000 })
    const handle = world.volume.open(client)
    world.submit(handle, 'large', 64 * 1024)
    world.submit(handle, 'next', 4096)
    expect(await world.pass(0)).toEqual(['large'])
    expect(await world.pass(590)).toEqual(['large'])
    expect(await world.pass(7)).toEqual(['large', 'next'])
  })

  test('limits change while operations wait: less waiting under more, none without', async () => {
    const world = new World({ iops: 1 })
    const handle = world.volume.open(client)
    for (const name of ['a', 'b', 'c', 'd']) world.submit(handle, name)
    expect(await world.pass(500)).toEqual(['a'])
    world.limit({ iops: 50, iopsBurst: 1 })
    expect(await world.pass(10)).toEqual(['a', 'b'])
    world.limit({})
    expect(await world.pass(0)).toEqual(['a', 'b', 'c', 'd'])
    expect(handle.readNow(0, BLOCK, Buffer.alloc(BLOCK), 0)).toBe(BlockStatus.ok)
  })

  test('abort takes back what waits, and costs nothing', async () => {
    const world = new World({ iops: 1 })
    const handle = world.volume.open(client)
    world.submit(handle, 'a')
    const b = world.submit(handle, 'b')
    world.submit(handle, 'c')
    handle.abort(b)
    expect((await world.pass(0)).sort()).toEqual(['a', 'b'])
    expect(world.ended).toContainEqual({ name: 'b', status: BlockStatus.aborted })
    expect((await world.pass(1000)).at(-1)).toBe('c')
  })

  test('a client that leaves takes its waiting operations along, those of others stay', async () => {
    const world = new World({ iops: 1 })
    const [one, other] = [world.volume.open(client), world.volume.open({ protocol: 'nbd', name: 'other' })]
    world.submit(one, 'a')
    world.submit(one, 'b')
    world.submit(other, 'c')
    world.submit(one, 'd')
    await one.close()
    expect(world.names).toEqual(expect.arrayContaining(['a', 'b', 'd']))
    expect((await world.pass(1000)).at(-1)).toBe('c')
  })

  test('the daemon itself is not limited, even while clients wait', async () => {
    const world = new World({ iops: 1 })
    const handle = world.volume.open(client)
    const own = world.volume.open({ protocol: 'internal' })
    for (const name of ['a', 'b']) world.submit(handle, name)
    world.submit(own, 'own', BLOCK, BlockKind.read)
    expect(own.readNow(8192, BLOCK, Buffer.alloc(BLOCK), 0)).toBe(BlockStatus.ok)
    expect((await world.pass(0)).sort()).toEqual(['a', 'own'])
  })

  test('what a reservation or protection forbids is refused at once when its turn comes', async () => {
    const world = new World({ iops: 1 })
    const handle = world.volume.open(client)
    world.submit(handle, 'a')
    world.submit(handle, 'b')
    expect(await world.pass(0)).toEqual(['a'])
    world.volume.setReadOnly(true)
    await world.pass(1000)
    expect(world.ended.at(-1)).toEqual({ name: 'b', status: BlockStatus.writeProtected })
  })
})

const step = fc.record({
  lengthBytes: fc.integer({ min: 1, max: 16 }).map(blocks => blocks * 512),
  pauseMs: fc.nat(300),
})

test('whatever comes when: everything ends well, in order, and no second sees more than rate and burst', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ iops: fc.integer({ min: 1, max: 500 }), iopsBurst: fc.integer({ min: 1, max: 50 }) }),
      fc.record({
        bytesPerSecond: fc.integer({ min: 65_536, max: 10_000_000 }),
        burstBytes: fc.integer({ min: 8192, max: 100_000 }),
      }),
      fc.array(step, { minLength: 1, maxLength: 60 }),
      async (turns, bytes, steps) => {
        const world = new World({ ...turns, ...bytes })
        const burst = Math.max(turns.iopsBurst, turns.iops * 0.02)
        const burstBytes = Math.max(bytes.burstBytes, bytes.bytesPerSecond * 0.02)
        const startMs = world.timers.now
        const expectBounded = () => {
          const seconds = (world.timers.now - startMs) / 1000
          const moved = world.ended.reduce((sum, { name }) => sum + steps[Number(name)]!.lengthBytes, 0)
          expect(world.ended.length).toBeLessThanOrEqual(burst + turns.iops * seconds + 1e-6)
          expect(moved).toBeLessThanOrEqual(burstBytes + bytes.bytesPerSecond * seconds + 1e-3)
        }
        const handle = world.volume.open(client)
        for (const [at, { lengthBytes, pauseMs }] of steps.entries()) {
          world.submit(handle, String(at), lengthBytes)
          await world.pass(pauseMs)
          expectBounded()
        }
        for (let look = 0; look < 2000 && world.ended.length < steps.length; look++) {
          world.timers.pass(50)
          if (look % 20 === 0) await world.pass(0)
        }
        await world.pass(0)
        expect(world.names).toEqual(steps.map((_, at) => String(at)))
        expect(world.ended.every(({ status }) => status === BlockStatus.ok)).toBe(true)
      },
    ),
    { numRuns: 40 },
  )
})
