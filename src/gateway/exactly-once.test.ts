import { expect, test } from 'vitest'
import { GatewayWorld, io, write } from '../../test/lib/gateway-world.ts'
import { BlockKind } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { VolumeHandle } from '../volume/volume.ts'

const CLIENTS = 4
const BLOCK_BYTES = 4096

function seeded(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function block(value: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES)
  bytes.writeUInt32LE(value)
  return bytes
}

/** Counts in a block that others count in too, by COMPARE AND WRITE; and in one of its own, by plain writes. */
class Counter {
  counted = 0
  undecided = 0
  readonly #ownAt: number
  readonly #open: () => VolumeHandle
  #handle: VolumeHandle
  #ownValue = 0

  constructor(number: number, open: () => VolumeHandle) {
    this.#ownAt = (number + 1) * BLOCK_BYTES
    this.#open = open
    this.#handle = open()
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#countTogether()
      await this.#countAlone()
    }
  }

  async #countTogether(): Promise<void> {
    const { status, data } = await io(this.#handle, BlockKind.read, 0, BLOCK_BYTES).done
    if (status !== BlockStatus.ok) return this.#again(status)
    const value = data.readUInt32LE(0)
    const both = Buffer.concat([block(value), block(value + 1)])
    const swapped = await io(this.#handle, BlockKind.compareAndWrite, 0, BLOCK_BYTES, both).done
    if (swapped.status === BlockStatus.ok) this.counted++
    else if (swapped.status === BlockStatus.inDoubt) this.undecided++
    else if (swapped.status !== BlockStatus.miscompare) this.#again(swapped.status)
  }

  async #countAlone(): Promise<void> {
    const next = this.#ownValue + 1
    const { status } = await io(this.#handle, BlockKind.write, this.#ownAt, BLOCK_BYTES, block(next)).done
    if (status !== BlockStatus.ok) return this.#again(status)
    this.#ownValue = next
    const { status: readStatus, data } = await io(this.#handle, BlockKind.read, this.#ownAt, BLOCK_BYTES).done
    if (readStatus !== BlockStatus.ok) return this.#again(readStatus)
    expect(data.readUInt32LE(0)).toBe(next)
  }

  /** The connection is gone: as an initiator does, log in again. */
  #again(status: BlockStatus): void {
    expect([BlockStatus.unavailable, BlockStatus.inDoubt, BlockStatus.aborted]).toContain(status)
    this.#handle = this.#open()
  }
}

test.each([1, 2, 3, 4])(
  'seed %i: counting goes on over takeovers and broken links, and nothing counts twice',
  async seed => {
    const random = seeded(seed)
    await using world = new GatewayWorld(3, { resumeWindowMs: 30 })
    await world.takeOver(1)
    const counters = Array.from({ length: CLIENTS }, (_, number) => {
      const client = {
        protocol: 'iscsi',
        initiatorName: `iqn.2026-11.test:client-${number}`,
        isid: '400001370000',
        targetPortalGroupTag: 1,
      } as const
      return new Counter(number, () => world.open(1 + (number % 3), { ...client }))
    })
    expect(await write(world.open(1, { protocol: 'internal' }), 0, 0)).toBe(BlockStatus.ok)
    let isOver = false
    const running = counters.map(counter => counter.run(() => isOver))
    for (let fault = 0; fault < 12; fault++) {
      await new Promise(resolve => setTimeout(resolve, random(60)))
      const [from, to] = [1 + random(3), 1 + random(3)]
      if (random(3) > 0) await world.takeOver(to)
      else if (from !== to) world.peer(from).network.link(to).reset()
    }
    isOver = true
    await Promise.all(running)
    const { data } = await io(world.open(2, { protocol: 'internal' }), BlockKind.read, 0, BLOCK_BYTES).done
    const [counted, undecided] = [
      counters.reduce((sum, counter) => sum + counter.counted, 0),
      counters.reduce((sum, counter) => sum + counter.undecided, 0),
    ]
    expect(counted).toBeGreaterThan(CLIENTS)
    expect(data.readUInt32LE(0)).toBeGreaterThanOrEqual(counted)
    expect(data.readUInt32LE(0)).toBeLessThanOrEqual(counted + undecided)
  },
)
