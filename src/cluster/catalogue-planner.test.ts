import { beforeEach, expect, test } from 'vitest'
import type { Catalogue } from '../control/catalogue.ts'
import { encodeValue, type Kind, keys, type PeerValue, type Values } from '../control/layout.ts'
import { Model, noChange } from '../control/model.ts'
import { CataloguePlanner } from './catalogue-planner.ts'

const UUID = '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11'
let model: Model
let revision: bigint
let nowMs: number
let planner: CataloguePlanner

function put<K extends Kind>(kind: K, key: string, value: Values[K] | null): void {
  revision++
  const entry =
    value === null
      ? null
      : {
          key,
          value: encodeValue(kind, value),
          createRevision: 1n,
          modRevision: revision,
          version: 1n,
          lease: 0n,
        }
  model.apply(key, entry, revision, noChange())
}

function putPeer(
  number: number,
  more: Partial<PeerValue> = {},
  usedBytes: number | null = 0,
  brickFailed = false,
): void {
  const id = `p${number}`
  put('peer', keys.peer(id), { number, addresses: [], labels: {}, capacityBytes: 100, ...more })
  const registration = {
    number,
    incarnation: id,
    bootId: '',
    brick: `b${number}`,
    openCounter: 1,
    capacityBytes: 100,
    usedBytes: usedBytes ?? 0,
    ...(brickFailed ? { brickFailed } : {}),
    peerAddress: '',
    portals: [],
    nbd: [],
    formats: { brick: 1, wire: [1, 1] as const },
    startedAt: '',
  }
  put('registration', keys.registration(id), usedBytes === null ? null : registration)
}

function putVolume(replicas: number, ranges: number[][]): void {
  put('volume', keys.head('v'), {
    uuid: UUID,
    state: 'ready',
    epoch: 1,
    replicas,
    minReplicas: 1,
    generation: 1,
    setVersion: 1,
    lossGeneration: 0,
    pending: null,
    out: [],
    sizeBytes: ranges.length * 2 ** 32,
    blockSizeBytes: 512,
    readOnly: false,
    removable: false,
    naa: '',
    createdAt: '',
  })
  put('placement', keys.page('v', 0), { ranges })
}

beforeEach(() => {
  model = new Model()
  revision = 0n
  nowMs = 0
  const catalogue = {
    model,
    get revision() {
      return revision
    },
  } as Catalogue
  planner = new CataloguePlanner(catalogue, () => nowMs)
  for (let number = 1; number <= 4; number++) putPeer(number)
})

test('planner: a drain is asked of the owner of the volume, and of no other', () => {
  putVolume(2, [[1, 2]])
  putPeer(1, { draining: true })
  const [change] = planner.wanted(UUID)
  expect(change).toMatchObject({ range: 0, leaves: 1 })
  expect([3, 4]).toContain(change?.joins)
  expect(planner.wanted('another')).toEqual([])
})

test('planner: nothing is sent to a peer that is away or nearly full', () => {
  putVolume(2, [[1, 2]])
  putPeer(1, { draining: true })
  putPeer(3, {}, null)
  putPeer(4, {}, 85)
  expect(planner.wanted(UUID)).toEqual([])
})

test('planner: a drain goes on to another peer while the one that the draw wants is nearly full or away', () => {
  putVolume(2, Array(20).fill([1, 2]))
  putPeer(1, { draining: true })
  const joins = () => new Set(planner.wanted(UUID).map(change => change.joins))
  expect(joins()).toEqual(new Set([3, 4]))
  putPeer(3, {}, 85)
  nowMs += 201
  expect(planner.wanted(UUID)).toHaveLength(20)
  expect(joins()).toEqual(new Set([4]))
  putPeer(3)
  putPeer(4, {}, null)
  nowMs += 201
  expect(planner.wanted(UUID)).toHaveLength(20)
  expect(joins()).toEqual(new Set([3]))
})

test('planner: nothing is moved or made anew on a brick that has failed, though its peer is up', () => {
  putVolume(2, Array(20).fill([1, 2]))
  putPeer(1, { draining: true })
  putPeer(3, {}, 0, true)
  expect(new Set(planner.wanted(UUID).map(change => change.joins))).toEqual(new Set([4]))
  for (let range = 0; range < 20; range++) expect(planner.substitute(UUID, range, 2)).toBe(4)
  expect([planner.isFull(3), planner.isFull(4)]).toEqual([true, false])
})

test('planner: the plan is made anew when it has become old', () => {
  putVolume(2, [[1, 2]])
  expect(planner.wanted(UUID)).toEqual([])
  putPeer(1, { draining: true })
  expect(planner.wanted(UUID)).toEqual([])
  nowMs = 201
  expect(planner.wanted(UUID)).toHaveLength(1)
})

test('planner: a lost brick is replaced on another host, unless more than a quarter of the peers are away', () => {
  putVolume(3, [[1, 2, 3]])
  putPeer(3, {}, null)
  expect(planner.substitute(UUID, 0, 3)).toBe(4)
  putPeer(2, {}, null)
  expect(planner.substitute(UUID, 0, 3)).toBeNull()
  putPeer(2)
  putPeer(4, { labels: { host: 'one' } })
  putPeer(1, { labels: { host: 'one' } })
  expect(planner.substitute(UUID, 0, 3)).toBeNull()
})
