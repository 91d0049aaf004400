import { expect, test } from 'vitest'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import type { FenceAnswer } from '../messages.ts'
import { packOperations } from '../operation-log.ts'
import { GRANT_MS } from '../owner/grants.ts'
import { PeerStatus } from '../peer-network.ts'
import type { ReplicaDescriptor, ReplicaStore, ReplicaVolume } from '../replica-store.ts'
import type { Timers } from '../timers.ts'
import { RECENT_OPERATIONS } from './recent-operations.ts'
import { VolumeReplica } from './volume-replica.ts'

class ManualTimers implements Timers {
  nowMs = 1000
  #waiting: { atMs: number; fn: () => void }[] = []

  bootMs(): number {
    return this.nowMs
  }

  after(ms: number, fn: () => void) {
    const entry = { atMs: this.nowMs + ms, fn }
    this.#waiting.push(entry)
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter(other => other !== entry)
      },
    }
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms
    const due = this.#waiting.filter(({ atMs }) => atMs <= this.nowMs)
    this.#waiting = this.#waiting.filter(({ atMs }) => atMs > this.nowMs)
    for (const { fn } of due) fn()
    await new Promise(resolve => setImmediate(resolve))
  }
}

interface ReplicaOptions {
  readonly fresh?: boolean
  readonly forgottenUntilMs?: number
  readonly persisted?: Partial<ReplicaDescriptor>
  /** Of a cold brick; a warm one unless given. */
  readonly suspect?: readonly number[]
}

function makeReplica({ fresh = true, forgottenUntilMs = 0, persisted = {}, suspect }: ReplicaOptions = {}) {
  const timers = new ManualTimers()
  const volume = {
    descriptor: { epoch: 1, setVersion: 1, ...persisted } as ReplicaDescriptor,
    generation: 1,
    standsAlone: false,
    persistDescriptor(descriptor: ReplicaDescriptor) {
      this.descriptor = descriptor
      return Promise.resolve()
    },
    atomicsAtOpen: [],
    activeSegments: () => [7],
    suspectSegments: (): readonly number[] => suspect ?? [],
    async trustSegments(segments: readonly number[]) {
      const left = this.suspectSegments().filter(segment => !segments.includes(segment))
      this.suspectSegments = () => left
    },
  }
  const store = { failure: null as Error | null, state: suspect === undefined ? 'warm' : 'cold' }
  const replica = new VolumeReplica({
    volume: volume as unknown as ReplicaVolume,
    store: store as unknown as ReplicaStore,
    timers,
    fresh,
    forgottenUntilMs,
  })
  const ended: unknown[] = []
  const fence = (epoch: number, opening = true, sender = 'owner') =>
    void replica.fence(epoch, 1, epoch, opening, sender).then(answer => ended.push(answer))
  return { timers, volume, store, replica, fence, ended }
}

test('replica: a fence waits until what was promised has lapsed, and promises nothing meanwhile', async () => {
  const { timers, replica, fence, ended, volume } = makeReplica()
  expect(replica.renew(1)).toBe(true)
  fence(2)
  expect(replica.renew(1)).toBe(false)
  await timers.pass(GRANT_MS - 1)
  expect(ended).toEqual([])
  await timers.pass(1)
  expect(ended).toHaveLength(1)
  expect(volume.descriptor.epoch).toBe(2)
})

test('replica: a release by the owner ends the wait', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  replica.renew(1)
  fence(2)
  replica.release(1)
  await timers.pass(0)
  expect(ended).toHaveLength(1)
})

test('replica: a fence waits for what is being applied, and nothing of a lower epoch is admitted after it', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  expect(replica.admit(1, 1)).toBe(BlockStatus.ok)
  replica.begun()
  fence(2)
  expect(replica.admit(1, 1)).toBe(PeerStatus.staleEpoch)
  await timers.pass(GRANT_MS)
  expect(ended).toEqual([])
  replica.ended()
  await timers.pass(0)
  expect(ended).toHaveLength(1)
  expect(replica.admit(2, 1)).toBe(BlockStatus.ok)
})

test('replica: who was told that nobody else is there is told again by whoever fences it', async () => {
  const { timers, fence, ended, volume } = makeReplica()
  volume.standsAlone = true
  fence(2)
  await timers.pass(0)
  expect([ended.length, volume.standsAlone]).toEqual([1, false])
  volume.standsAlone = true
  fence(2)
  await timers.pass(0)
  expect([ended.length, volume.standsAlone]).toEqual([2, false])
})

test('replica: a higher fence makes a lower one that still waits stale', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  replica.renew(1)
  fence(2)
  fence(3)
  await timers.pass(GRANT_MS)
  await timers.pass(0)
  expect(ended).toContain(PeerStatus.staleEpoch)
  expect(ended).toHaveLength(2)
  expect(replica.admit(2, 1)).toBe(PeerStatus.staleEpoch)
  expect(replica.admit(3, 1)).toBe(BlockStatus.ok)
})

test('replica: after a start nothing is fenced while a promise that was forgotten may be counted on', async () => {
  const { timers, fence, ended } = makeReplica({ fresh: false, forgottenUntilMs: 3020 })
  fence(2)
  await timers.pass(2019)
  expect(ended).toEqual([])
  await timers.pass(1)
  expect(ended).toHaveLength(1)
})

test('replica: after a start nothing is admitted or promised before a fence', () => {
  const { replica } = makeReplica({ fresh: false })
  expect(replica.admit(1, 1)).toBe(BlockStatus.unavailable)
  expect(replica.renew(1)).toBe(false)
})

test('replica: only operations above the watermark are reported by a member that kept its memory', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  replica.note(1, 0, 1, 0, 4096, 5, 1)
  replica.note(2, 1, 1, 8192, 4096, 5, 2)
  fence(2)
  await timers.pass(0)
  const answer = ended[0] as FenceAnswer
  expect(answer.continuous).toBe(true)
  expect(answer.operations).toEqual([{ kind: 1, offsetBytes: 8192, lengthBytes: 4096 }])
  expect(answer.log.operations).toBe(
    packOperations([
      { stream: 5, sequence: 1, offsetBytes: 0, lengthBytes: 4096 },
      { stream: 5, sequence: 2, offsetBytes: 8192, lengthBytes: 4096 },
    ]),
  )
})

test('replica: who was fenced when others served already has no complete log of that epoch', async () => {
  const { timers, fence, ended } = makeReplica()
  for (const [epoch, opening] of [
    [2, true],
    [3, true],
    [3, false],
    [4, false],
    [5, true],
  ] as const) {
    fence(epoch, opening)
    await timers.pass(0)
  }
  // Each tells of the epoch before; a fence of the same epoch is answered as before.
  const answers = ended as FenceAnswer[]
  expect(answers.map(({ log }) => log.complete)).toEqual([false, true, true, false, false])
})

test('replica: what was overwritten in its log is told by the highest sequence number of its stream', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  for (let sequence = 1; sequence <= RECENT_OPERATIONS + 2; sequence++)
    replica.note(sequence, 0, 1, 0, 4096, 5, sequence)
  fence(2)
  await timers.pass(0)
  const { forgotten } = (ended[0] as FenceAnswer).log
  expect(forgotten[5]).toBe(2)
  expect(Math.max(...forgotten)).toBe(2)
})

test('replica: until a reconcile has ended, all active segments are reported again', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  fence(2)
  await timers.pass(0)
  fence(3)
  await timers.pass(0)
  replica.reconciled(3)
  fence(4)
  await timers.pass(0)
  const answers = ended as FenceAnswer[]
  expect(answers.map(({ continuous }) => continuous)).toEqual([true, false, true])
  expect(answers.map(({ activeSegments }) => activeSegments)).toEqual([[], [7], []])
})

test('replica: of a cold brick one is warm again that was made like the others, whatever becomes of other volumes', async () => {
  const { timers, volume, replica, fence, ended } = makeReplica({ fresh: false, suspect: [7, 1030] })
  for (const epoch of [2, 3, 4]) {
    fence(epoch)
    await timers.pass(0)
    if (epoch > 2) replica.reconciled(epoch)
  }
  expect(ended).toMatchObject([{ state: 'cold' }, { state: 'cold' }, { state: 'warm' }])
  // Where it is out it is suspect until it is copied, and said to be.
  expect(ended[2]).toMatchObject({ suspectSegments: [7, 1030] })
  volume.suspectSegments = () => []
  fence(5)
  await timers.pass(0)
  expect(ended[3]).toMatchObject({ state: 'warm', suspectSegments: [] })
})

test('replica: one is warm once nothing of it is suspect any more, though its epoch has not settled', async () => {
  const { timers, replica, fence, ended } = makeReplica({ fresh: false, suspect: [7, 8] })
  for (const [epoch, trusted] of [[2, [7]] as const, [3, [8]] as const, [4, []] as const]) {
    fence(epoch)
    await timers.pass(0)
    await replica.trustSegments(trusted)
  }
  expect(ended).toMatchObject([{ state: 'cold' }, { state: 'cold' }, { state: 'warm', continuous: false }])
})

test('replica: one that was at rest when the machine went down has lost nothing', async () => {
  const { timers, fence, ended } = makeReplica({ fresh: false, suspect: [] })
  fence(2)
  await timers.pass(0)
  expect(ended).toMatchObject([{ state: 'warm', continuous: false }])
})

test('replica: atomic writes above the watermark are reported until a reconcile has ended', async () => {
  const { timers, replica, fence, ended } = makeReplica()
  replica.note(1, 0, BlockKind.writeAtomic, 0, 8192, 0, 0)
  replica.note(2, 0, BlockKind.write, 8192, 4096, 0, 0)
  fence(2)
  await timers.pass(0)
  replica.keepWhole({ offsetBytes: 65536, lengthBytes: 8192 })
  fence(3)
  await timers.pass(0)
  replica.reconciled(3)
  fence(4)
  await timers.pass(0)
  const first = { offsetBytes: 0, lengthBytes: 8192 }
  const given = { offsetBytes: 65536, lengthBytes: 8192 }
  expect((ended as FenceAnswer[]).map(({ atomics }) => atomics)).toEqual([[first], [first, given], []])
})

test('replica: an epoch that one process has is refused to another, and a higher one is not', async () => {
  const { timers, fence, ended } = makeReplica()
  fence(2)
  await timers.pass(0)
  fence(2, true, 'another owner')
  fence(2)
  await timers.pass(0)
  fence(3, true, 'another owner')
  await timers.pass(0)
  const statuses = ended.map(answer => (typeof answer === 'number' ? answer : 'fenced'))
  expect(statuses).toEqual(['fenced', PeerStatus.staleEpoch, 'fenced', 'fenced'])
})

test('replica: an epoch stays that of the process that had it, over a restart and changes of the sets', async () => {
  const before = makeReplica()
  before.fence(2)
  await before.timers.pass(0)
  await before.replica.setVersion(5, 2, null)
  const { timers, fence, ended } = makeReplica({ fresh: false, persisted: before.volume.descriptor })
  fence(2, true, 'another owner')
  fence(2)
  await timers.pass(0)
  const statuses = ended.map(answer => (typeof answer === 'number' ? answer : 'fenced'))
  expect(statuses).toEqual([PeerStatus.staleEpoch, 'fenced'])
})

test('replica: a brick that failed promises nothing and admits nothing', () => {
  const { replica, store } = makeReplica()
  store.failure = new Error('fsync')
  expect(replica.renew(1)).toBe(false)
  expect(replica.admit(1, 1)).toBe(BlockStatus.ioError)
})

test('replica: whoever is fenced again in its epoch stamps with the generation of then, and keeps the set of then', async () => {
  const { replica, volume } = makeReplica()
  const first = await replica.fence(2, 2, 2, true, 'owner')
  expect([volume.generation, volume.descriptor.setVersion]).toEqual([2, 2])
  expect(await replica.fence(2, 5, 4, false, 'owner')).toEqual(first)
  expect([volume.generation, volume.descriptor.setVersion]).toEqual([4, 5])
  expect(volume.descriptor).toMatchObject({ epoch: 2, fencedBy: 'owner' })
  await replica.fence(2, 3, 3, false, 'owner')
  expect([volume.generation, volume.descriptor.setVersion]).toEqual([4, 5])
  expect(replica.admit(2, 4)).toBe(PeerStatus.staleSet)
})
