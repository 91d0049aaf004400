import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { ByteSpan } from '../../../src/replication/messages.ts'
import { giveWhole, type WholePort } from '../../../src/replication/owner/give-whole.ts'
import { Reconcile, type ReconcileOptions } from '../../../src/replication/owner/reconcile.ts'
import { SpanHold } from '../../../src/replication/owner/span-hold.ts'
import { heldSpans } from '../../../src/replication/owner/whole-spans.ts'
import { RANGE_BYTES } from '../../../src/store/layout.ts'
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

function optionsOf(
  members: () => readonly WholeBrick[],
  atomics: readonly ByteSpan[] = [],
  timers = new ManualTimers(),
): ReconcileOptions {
  return {
    sizeBytes: 4 * REGION,
    timers,
    generation: () => 1,
    ended: () => false,
    members,
    isLeaving: () => false,
    atomics: () => atomics,
    isSuspect: () => false,
    reconciled: () => {},
  }
}

function reconcileOf(...[members, atomics, timers]: Parameters<typeof optionsOf>): Promise<void> {
  const options = optionsOf(members, atomics, timers)
  return new Reconcile(
    options,
    SpanHold.allAhead(new OperationQueue(), [{ startBytes: 0, endBytes: 2 * REGION }]),
  ).run()
}

test('reconcile: atomic writes that overlap are given as one, so that the older tears the newer on nobody', async () => {
  const [first, second] = threeBricks()
  // The older has blocks 62 and 63 everywhere; the newer, of 63 to 65, reached the second brick alone.
  for (const block of [63, 64, 65]) second.put(block, 9, 2)
  first.bad.add(65)
  const span = (block: number, blocks: number) => ({
    offsetBytes: block * BLOCK,
    lengthBytes: blocks * BLOCK,
  })
  await reconcileOf(() => [first, second], [span(62, 2), span(63, 3)])
  expect([first, second].map(valuesOf)).toEqual(Array.from({ length: 2 }, () => [7, 9, 9, 9]))
  expect(first.given).toEqual([[62 * BLOCK, 4 * BLOCK]])
  expect(second.given).toEqual([])
})

test('reconcile: a range is in use until the last of its spans is reconciled', async () => {
  const [first, second] = threeBricks()
  const queue = new OperationQueue()
  const holds = SpanHold.allAhead(
    queue,
    [0, RANGE_BYTES].map(at => ({ startBytes: at, endBytes: at + REGION })),
  )
  const waiting: boolean[][] = []
  const rangesWaiting = () => [0, 1, 2].map(range => reconcile.isWaiting(range))
  const reconcile: Reconcile = new Reconcile(
    {
      ...optionsOf(() => [first, second]),
      sizeBytes: 2 * RANGE_BYTES,
      reconciled: () => waiting.push(rangesWaiting()),
    },
    holds,
  )
  expect(rangesWaiting()).toEqual([true, true, false])
  await reconcile.run()
  expect(waiting).toEqual([
    [false, true, false],
    [false, false, false],
  ])
})

test('held spans: what has been let go of parts a span', () => {
  const queue = new OperationQueue()
  const holds = [3, 1, 0].map(at => new SpanHold(queue, at * REGION, (at + 1) * REGION))
  const span = { startBytes: REGION / 2, endBytes: 3.5 * REGION }
  expect(heldSpans(span, holds).map(({ startBytes, endBytes }) => [startBytes, endBytes])).toEqual([
    [REGION / 2, 2 * REGION],
    [3 * REGION, 3.5 * REGION],
  ])
})

test('reconcile: bad blocks of one are not mended with a part of what only another has', async () => {
  const [torn, whole, third] = threeBricks()
  for (let block = 62; block < 66; block++) whole.put(block, 9, 2)
  torn.put(63, 8, 2)
  torn.bad.add(63)
  await reconcileOf(() => [torn, whole, third])
  expect([torn, whole, third].map(valuesOf)).toEqual(Array.from({ length: 3 }, () => [9, 9, 9, 9]))
})

test('reconcile: spans side by side have one source, so that nothing over their border is torn', async () => {
  const SEGMENT = 16 * REGION
  const blocks = [SEGMENT / BLOCK - 1, SEGMENT / BLOCK]
  const [torn, whole] = threeBricks()
  for (const block of blocks) whole.put(block, 9, 2)
  torn.put(blocks[1]!, 8, 2)
  torn.bad.add(blocks[1]!)
  const queue = new OperationQueue()
  const holds = SpanHold.allAhead(
    queue,
    [0, SEGMENT, 5 * SEGMENT].map(at => ({ startBytes: at, endBytes: at + SEGMENT })),
  )
  torn.put((5 * SEGMENT) / BLOCK, 6, 2)
  await new Reconcile({ ...optionsOf(() => [torn, whole]), sizeBytes: 6 * SEGMENT }, holds).run()
  for (const brick of [torn, whole]) {
    expect(blocks.map(block => brick.valueOf(block))).toEqual([9, 9])
    expect(brick.valueOf((5 * SEGMENT) / BLOCK)).toBe(6)
  }
})

test('reconcile: where all have bad blocks those of the first are mended with what verifies elsewhere', async () => {
  const [first, second] = threeBricks()
  for (const block of [62, 63]) second.put(block, 9, 2)
  first.bad.add(62)
  second.bad.add(63)
  await reconcileOf(() => [first, second])
  expect([first, second].map(valuesOf)).toEqual(Array.from({ length: 2 }, () => [9, 7, 7, 7]))
})

test('reconcile: when its source leaves, those who stay are compared with each other', async () => {
  const [leaver, second, third] = threeBricks()
  for (const [brick, value] of [leaver, second, third].map((brick, i) => [brick, i + 7] as const)) {
    brick.put(64, value, 2)
  }
  // Out of the set nothing is mended on it. None of the others is the better source.
  leaver.bad.add(64)
  second.bad.add(65)
  third.bad.add(65)
  leaver.repair = async () => BlockStatus.unavailable
  leaver.order = async () => {}
  let asked = 0
  const timers = new ManualTimers()
  const members = () => (++asked === 1 ? [leaver, second, third] : [second, third])
  const done = reconcileOf(members, [], timers)
  // Whatever fails is tried again after a while.
  for (let turn = 0; turn < 100; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    timers.pass(1000)
  }
  await done
  expect(valuesOf(third)).toEqual(valuesOf(second))
  const comparisons = [leaver, second, third].map(
    ({ calls }) => calls.filter(call => call === 'digestRegions').length,
  )
  // With each of the others to choose a source, and twice to make them like it; then those two with each other.
  expect(comparisons).toEqual([6, 4, 4])
})

test('reconcile: while a member is on its way out nobody is made alike: it may stay', async () => {
  const [first, second] = threeBricks()
  first.put(64, 8, 2)
  const timers = new ManualTimers()
  let isLeaving = true
  const options = {
    // What is planned, and may be refused yet.
    ...optionsOf(() => (isLeaving ? [first] : [first, second]), [], timers),
    isLeaving: () => isLeaving,
  }
  const spans = SpanHold.allAhead(new OperationQueue(), [{ startBytes: 0, endBytes: 2 * REGION }])
  const done = new Reconcile(options, spans).run()
  for (let turn = 0; turn < 100; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    timers.pass(1000)
    if (turn === 5) expect(first.calls).toEqual([])
    if (turn === 5) isLeaving = false
  }
  await done
  expect(valuesOf(second)).toEqual(valuesOf(first))
})

test('reconcile: what is torn on the only member of a set stands before it is trusted', async () => {
  const [brick] = threeBricks()
  brick.bad.add(64)
  await reconcileOf(() => [brick], [])
  expect(brick.bad.size).toBe(0)
})

test('reconcile: the span that somebody has waited for longest comes first, and then the others in order', async () => {
  const [first, second] = threeBricks()
  const queue = new OperationQueue()
  const holds = SpanHold.allAhead(
    queue,
    [0, 1, 2, 3].map(at => ({ startBytes: at * RANGE_BYTES, endBytes: at * RANGE_BYTES + REGION })),
  )
  const waiting = [2, 1].map(range => new SpanHold(queue, range * RANGE_BYTES, range * RANGE_BYTES + BLOCK))
  const left: boolean[][] = []
  const reconcile: Reconcile = new Reconcile(
    {
      ...optionsOf(() => [first, second]),
      sizeBytes: 4 * RANGE_BYTES,
      reconciled: () => left.push([0, 1, 2, 3].map(range => reconcile.isWaiting(range))),
    },
    holds,
  )
  await reconcile.run()
  expect(left).toEqual([
    [true, true, false, true],
    [true, false, false, true],
    [false, false, false, true],
    [false, false, false, false],
  ])
  await Promise.all(waiting.map(({ begun }) => begun))
})

test('reconcile: what waits behind a client that waits for another span comes after that span', async () => {
  const [first, second] = threeBricks()
  const queue = new OperationQueue()
  const [ahead] = SpanHold.allAhead(queue, [{ startBytes: RANGE_BYTES, endBytes: RANGE_BYTES + REGION }])
  const client = new SpanHold(queue, 0, RANGE_BYTES + BLOCK)
  const behind = new SpanHold(queue, 0, REGION)
  void client.begun.then(() => client.release())
  new SpanHold(queue, 0, BLOCK)
  const options = { ...optionsOf(() => [first, second]), sizeBytes: 2 * RANGE_BYTES }
  await new Reconcile(options, [behind, ahead!]).run()
  expect(queue.firstWaiting).toBe(null)
})
