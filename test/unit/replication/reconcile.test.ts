import { expect, test } from 'vitest'
import type { BlockStatus } from '../../../src/block/block-status.ts'
import { giveWhole, type WholePort } from '../../../src/replication/owner/give-whole.ts'
import { Reconcile } from '../../../src/replication/owner/reconcile.ts'
import { SpanHold } from '../../../src/replication/owner/span-hold.ts'
import { OperationQueue } from '../../../src/volume/operation-queue.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'
import { BLOCK, FakeBrick, REGION } from './fake-bricks.ts'

class WholeBrick extends FakeBrick implements WholePort {
  readonly given: number[][] = []

  async copyWhole(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus> {
    this.given.push([offsetBytes, lengthBytes])
    return this.copyIn(offsetBytes, lengthBytes, from, at, 0)
  }

  async repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus> {
    return this.copyIn(offsetBytes, lengthBytes, from, at, 0)
  }

  /** Alone it takes for good whatever is there. */
  async order({ alone }: { readonly alone: boolean }): Promise<void> {
    if (alone) this.bad.clear()
  }
}

function threeBricks() {
  const bricks = [1, 2, 3].map(peer => new WholeBrick(peer)) as [WholeBrick, WholeBrick, WholeBrick]
  for (let block = 62; block < 66; block++) for (const brick of bricks) brick.put(block, 7, 1)
  return bricks
}
const SPAN = [62 * BLOCK, 66 * BLOCK] as const
const valuesOf = (brick: FakeBrick) => [62, 63, 64, 65].map(block => brick.valueOf(block))

test('give whole: what lies over the border of two regions goes to each member in one piece', async () => {
  const bricks = threeBricks()
  for (let block = 62; block < 66; block++) bricks[0].put(block, 9, 2)
  await giveWhole(bricks, () => false, ...SPAN)
  expect(bricks.map(({ given }) => given)).toEqual([[], [[62 * BLOCK, 4 * BLOCK]], [[62 * BLOCK, 4 * BLOCK]]])
  expect(bricks.map(valuesOf)).toEqual(Array.from({ length: 3 }, () => [9, 9, 9, 9]))
})

test('give whole: a member that is suspect anywhere in it is no source, and is given it', async () => {
  const bricks = threeBricks()
  for (let block = 62; block < 66; block++) bricks[0].put(block, 9, 2)
  await giveWhole(bricks, member => member.peerNumber === 1, ...SPAN)
  expect(bricks.map(valuesOf)).toEqual(Array.from({ length: 3 }, () => [7, 7, 7, 7]))
})

test('give whole: a member with a bad block in it is no source, and none is mended with what only others have', async () => {
  const bricks = threeBricks()
  bricks[0].bad.add(64)
  for (let block = 62; block < 66; block++) bricks[1].put(block, 9, 2)
  await giveWhole(bricks, () => false, ...SPAN)
  expect(bricks.map(valuesOf)).toEqual(Array.from({ length: 3 }, () => [9, 9, 9, 9]))
})

test('give whole: with nobody who is beyond suspicion nothing is given', async () => {
  const bricks = threeBricks()
  await giveWhole(bricks, () => true, ...SPAN)
  expect(bricks.map(({ given }) => given)).toEqual([[], [], []])
})

test('reconcile: what is torn on the only member of a set stands before it is trusted', async () => {
  const [brick] = threeBricks()
  brick.bad.add(64)
  const hold = new SpanHold(new OperationQueue(), 0, 2 * REGION, true)
  const options = {
    sizeBytes: 4 * REGION,
    timers: new ManualTimers(),
    generation: () => 1,
    ended: () => false,
    members: () => [brick],
    atomics: () => [],
    isSuspect: () => false,
    reconciled: () => {},
  }
  await new Reconcile(options, [hold]).run()
  expect(brick.bad.size).toBe(0)
})
