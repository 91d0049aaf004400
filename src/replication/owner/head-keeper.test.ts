import { expect, test } from 'vitest'
import { encodeValue, keys, type VolumeHead } from '../../control/layout.ts'
import type {
  KeyValue,
  MetadataStore,
  Transaction,
  TransactionResult,
} from '../../metadata/metadata-store.ts'
import type { Timers } from '../timers.ts'
import { HeadKeeper } from './head-keeper.ts'

const timers: Timers = {
  bootMs: () => 0,
  after: (_ms, fn) => {
    setImmediate(fn)
    return { cancel: () => {} }
  },
}
const head = { uuid: 'u', epoch: 4, setVersion: 9, generation: 2, sizeBytes: 1 } as VolumeHead

function entryOf(value: VolumeHead, modRevision: bigint): KeyValue {
  const key = keys.head('vol')
  return {
    key,
    value: encodeValue('volume', value),
    createRevision: 1n,
    modRevision,
    version: 1n,
    lease: 0n,
  }
}

/** Answers in this order; an Error: the outcome is unknown to the caller. */
function storeAnswering(answers: (TransactionResult | Error)[]): MetadataStore & { asked: Transaction[] } {
  const asked: Transaction[] = []
  const transact = (transaction: Transaction) => {
    asked.push(transaction)
    const answer = answers.shift()!
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }
  return { asked, transact } as unknown as MetadataStore & { asked: Transaction[] }
}

const next = (now: VolumeHead) => ({ head: { ...now, setVersion: now.setVersion + 1 } })

test('head: a change that committed without an answer is found to be so, and not made twice', async () => {
  const committed = { ...head, setVersion: 10, readOnly: true }
  const store = storeAnswering([
    new Error('deadline'),
    { succeeded: false, revision: 8n, found: [entryOf(committed, 8n)] },
  ])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  expect(await keeper.change(next)).toBe('changed')
  expect(keeper.head).toEqual(committed)
  expect(store.asked).toHaveLength(2)
})

test('head: a change that did not commit is made with the same comparison, so that the first try cannot come late', async () => {
  const store = storeAnswering([new Error('deadline'), { succeeded: true, revision: 7n, found: [null] }])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  expect(await keeper.change(next)).toBe('changed')
  expect(store.asked.map(({ compare }) => compare)).toEqual([
    store.asked[0]!.compare,
    store.asked[0]!.compare,
  ])
  expect(keeper.head.setVersion).toBe(10)
})

test('head: a change that is not wanted any more has happened if it committed without an answer', async () => {
  const committed = { ...head, setVersion: 10, readOnly: true }
  const store = storeAnswering([
    new Error('deadline'),
    { succeeded: false, revision: 8n, found: [entryOf(committed, 8n)] },
  ])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  const wishes = [next, () => null]
  expect(await keeper.change(now => wishes.shift()!(now))).toBe('changed')
  expect(keeper.head).toEqual(committed)
})

test('head: one that is not wanted any more, and did not commit, never will', async () => {
  const store = storeAnswering([
    new Error('deadline'),
    new Error('deadline'),
    { succeeded: true, revision: 7n, found: [null] },
  ])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  const wishes = [next, () => null, () => null]
  expect(await keeper.change(now => wishes.shift()!(now))).toBe('unchanged')
  const { asked } = store
  expect(asked.map(({ compare }) => compare)).toEqual([
    asked[0]!.compare,
    asked[0]!.compare,
    asked[0]!.compare,
  ])
  expect(asked[2]!.success).toEqual([
    { do: 'put', key: keys.head('vol'), value: encodeValue('volume', head) },
  ])
  expect([keeper.head, keeper.revision]).toEqual([head, 7n])
})

test('head: what others changed meanwhile is kept', async () => {
  const grown = { ...head, sizeBytes: 77 }
  const store = storeAnswering([
    { succeeded: false, revision: 6n, found: [entryOf(grown, 6n)] },
    { succeeded: true, revision: 7n, found: [null] },
  ])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  expect(await keeper.change(next)).toBe('changed')
  expect(keeper.head).toMatchObject({ sizeBytes: 77, setVersion: 10 })
})

test('head: another epoch ends every change', async () => {
  const store = storeAnswering([
    { succeeded: false, revision: 6n, found: [entryOf({ ...head, epoch: 5 }, 6n)] },
  ])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  expect(await keeper.change(next)).toBe('superseded')
  expect(keeper.head).toEqual(head)
})

test('head: one that is older than what was read before ends every change: the metadata were rolled back', async () => {
  const store = storeAnswering([{ succeeded: false, revision: 4n, found: [entryOf(head, 4n)] }])
  const keeper = new HeadKeeper(store, timers, 'vol', entryOf(head, 5n))
  expect(await keeper.change(next)).toBe('superseded')
})
