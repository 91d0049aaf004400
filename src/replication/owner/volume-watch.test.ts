import { afterEach, expect, test } from 'vitest'
import { ManualTimers } from '../../../test/lib/manual-timers.ts'
import { encodeValue, keys, type OwnerValue, type VolumeHead } from '../../control/layout.ts'
import type { KeyValue, MetadataStore, WatchListener } from '../../metadata/metadata-store.ts'
import { placementOf, VolumeWatch } from './volume-watch.ts'

const HEAD = { uuid: 'u', state: 'ready', epoch: 4, sizeBytes: 8 * 2 ** 30 } as VolumeHead
const OWNER: OwnerValue = { peer: 'p', number: 1, epoch: 4, incarnation: 'i' }

const timers = new ManualTimers()
const store = new Map<string, KeyValue>()
const heard: string[] = []
let listener: WatchListener

const metadata = {
  range: async () => ({ entries: [...store.values()], revision: 100n, more: false }),
  watch: async (_prefix: string, _start: bigint, given: WatchListener) => {
    listener = given
    return { [Symbol.asyncDispose]: async () => {} }
  },
} as unknown as MetadataStore

function put(key: string, value: Buffer, modRevision: bigint): void {
  store.set(key, { key, value, createRevision: 1n, modRevision, version: 1n, lease: 0n })
}

function putVolume(name: string, head: VolumeHead, modRevision: bigint): void {
  put(keys.head(name), encodeValue('volume', head), modRevision)
  put(keys.owner(name), encodeValue('owner', OWNER), modRevision)
  put(keys.page(name, 0), encodeValue('placement', { ranges: [[1], [2]] }), modRevision)
}

async function opened(): Promise<VolumeWatch> {
  const log = { warn: () => {} } as never
  const watch = new VolumeWatch({
    metadata,
    timers,
    log,
    ownerChanged: ({ name, ownerValue }) => heard.push(`owner of ${name}: ${ownerValue?.epoch}`),
    headChanged: ({ name, headValue }) => heard.push(`head of ${name}: ${headValue?.epoch}`),
  })
  await watch.open()
  return watch
}

async function openedAnew(): Promise<void> {
  heard.length = 0
  listener.lost(new Error('it was restored'))
  timers.pass(1000)
  await new Promise(setImmediate)
}

afterEach(() => {
  store.clear()
  heard.length = 0
})

test('lost watch: what is older than what was known replaces it', async () => {
  putVolume('vol', { ...HEAD, epoch: 6 }, 60n)
  putVolume('newer', HEAD, 61n)
  const watch = await opened()
  store.clear()
  putVolume('vol', HEAD, 40n)
  store.delete(keys.page('vol', 0))
  await openedAnew()
  expect(watch.volume('vol')!.headValue).toEqual(HEAD)
  expect(placementOf(watch.volume('vol')!)).toEqual([])
  expect([...watch.volumes()].map(({ name }) => name)).toEqual(['vol'])
  expect(heard).toContain('head of vol: 4')
})

test('lost watch: what is as it was is no news', async () => {
  putVolume('vol', HEAD, 40n)
  const watch = await opened()
  const { ownerSinceMs } = watch.volume('vol')!
  await openedAnew()
  expect(heard).toEqual([])
  expect(watch.volume('vol')!.ownerSinceMs).toBe(ownerSinceMs)
  expect(placementOf(watch.volume('vol')!)).toEqual([[1], [2]])
})

test('deleted volume: nothing of it is left, in whichever order its keys go', async () => {
  putVolume('vol', HEAD, 40n)
  const watch = await opened()
  const gone = [keys.head('vol'), keys.owner('vol'), keys.page('vol', 0)]
  listener.changed(
    gone.map(key => ({ type: 'delete', key, modRevision: 101n }) as const),
    101n,
  )
  expect([...watch.volumes()]).toEqual([])
})
