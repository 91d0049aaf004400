import { afterEach, expect, test } from 'vitest'
import { LeaseKeeper } from './lease-keeper.ts'
import { PROGRESS_MS_MAX, ProgressMark, ProgressWatch } from './progress.ts'

let keeper: LeaseKeeper | null = null
afterEach(() => keeper?.[Symbol.dispose]())

function keep(world: { well: boolean; ttl: number; broken?: boolean }) {
  const leases: (bigint | null)[] = []
  const failures: unknown[] = []
  let granted = 0n
  let kept = 0
  keeper = new LeaseKeeper({
    store: {
      async grantLease() {
        if (world.broken) throw new Error('silent')
        return ++granted
      },
      async keepLeaseAlive() {
        if (world.broken) throw new Error('silent')
        kept++
        return world.ttl
      },
    },
    // Beats come from the test: the timer of an hour never fires.
    ttlSeconds: 21_600,
    isWell: () => world.well,
    changed: lease => leases.push(lease),
    failed: error => failures.push(error),
  })
  return { leases, failures, kept: () => kept, beat: () => keeper!.beat() }
}

test('lease: granted once and kept, a failed heartbeat is only tried again', async () => {
  const world = { well: true, ttl: 5, broken: false }
  const { leases, failures, kept, beat } = keep(world)
  await expect.poll(() => leases).toEqual([1n])
  await beat()
  world.broken = true
  await beat()
  world.broken = false
  await beat()
  expect(leases).toEqual([1n])
  expect(failures).toHaveLength(1)
  expect(kept()).toBe(2)
})

test('lease: one that is gone is replaced, and whoever hangs on it is told first', async () => {
  const world = { well: true, ttl: 5 }
  const { leases, beat } = keep(world)
  await expect.poll(() => leases).toEqual([1n])
  world.ttl = 0
  await beat()
  expect(leases).toEqual([1n, null, 2n])
})

test('lease: a process without progress sends no heartbeat, and none for a lease it has not', async () => {
  const world = { well: false, ttl: 5 }
  const { leases, kept, beat } = keep(world)
  await beat()
  expect(leases).toEqual([])
  world.well = true
  await beat()
  world.well = false
  await beat()
  expect(leases).toEqual([1n])
  expect(kept()).toBe(0)
})

test('progress: fresh for a second after the mark, in every thread that shares it', () => {
  let nowNs = 5n
  const mark = new ProgressMark(undefined, () => nowNs)
  const other = new ProgressMark(mark.buffer, () => nowNs)
  const bound = BigInt(PROGRESS_MS_MAX) * 1_000_000n
  mark.mark()
  nowNs += bound
  expect(other.isFresh()).toBe(true)
  nowNs += 1n
  expect(other.isFresh()).toBe(false)
})

test('progress: none while the oldest operation of the brick is older than the bound', () => {
  let [nowNs, oldestMs] = [0n, PROGRESS_MS_MAX + 1]
  const looks: (() => void)[] = []
  const mark = new ProgressMark(undefined, () => nowNs)
  const every = (_ms: number, look: () => void) => {
    looks.push(look)
    return () => looks.splice(0)
  }
  using _watch = new ProgressWatch(mark, () => oldestMs, every)
  nowNs = BigInt(PROGRESS_MS_MAX + 1) * 1_000_000n
  looks[0]!()
  expect(mark.isFresh()).toBe(false)
  oldestMs = PROGRESS_MS_MAX
  looks[0]!()
  expect(mark.isFresh()).toBe(true)
})
