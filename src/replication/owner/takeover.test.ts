import { expect, test } from 'vitest'
import { decodeValue, encodeValue, keys, type VolumeHead } from '../../control/layout.ts'
import type { KeyValue, MetadataStore, Transaction } from '../../metadata/metadata-store.ts'
import type { PeerIdentity } from '../peer-network.ts'
import { takeEpoch } from './takeover.ts'

const HEAD = { uuid: 'u', state: 'ready', epoch: 4, setVersion: 9, generation: 7 } as VolumeHead
const SELF = { peerId: 'p', peerNumber: 1, incarnation: 'i' } as PeerIdentity
const LEASE = 5n

/** Holds one head, and lets every transaction succeed. */
function metadata(): MetadataStore {
  const entries = new Map<string, KeyValue>()
  let revision = 1n
  const put = (key: string, value: Buffer) => {
    entries.set(key, { key, value, createRevision: 1n, modRevision: ++revision, version: 1n, lease: 0n })
  }
  put(keys.head('vol'), encodeValue('volume', HEAD))
  return {
    get: async (key: string) => entries.get(key) ?? null,
    transact: async ({ success }: Transaction) => {
      for (const operation of success) if (operation.do === 'put') put(operation.key, operation.value)
      return { succeeded: true, revision, found: [] }
    },
  } as unknown as MetadataStore
}

async function headAfter(seen: number): Promise<VolumeHead> {
  const taken = await takeEpoch(metadata(), 'vol', SELF, LEASE, null, () => seen)
  return decodeValue('volume', taken!.entry.key, taken!.entry.value)
}

test('takeover: the next epoch and generation begin', async () => {
  expect(await headAfter(4)).toEqual({ ...HEAD, epoch: 5, generation: 8 })
})

test('takeover: of metadata that were rolled back the epoch is beyond what the own brick has seen', async () => {
  expect(await headAfter(6)).toEqual({ ...HEAD, epoch: 7, generation: 10 })
})
