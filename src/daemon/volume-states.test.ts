import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import type { Config } from '../config/schema.ts'
import { encodeValue, keys, type VolumeHead } from '../control/layout.ts'
import { reservationStorage } from '../control/volume-state-storage.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { OwnedHere } from '../replication/replication.ts'
import type { Brick } from '../store/brick.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import { Reservations } from '../volume/reservations.ts'
import { VolumeStates } from './volume-states.ts'

const CONFIG = { store: { sanitizeBandwidth: 1 } } as Config
const HOST: ClientIdentity = {
  protocol: 'iscsi',
  initiatorName: 'iqn.2026-11.test:host',
  isid: '400000000001',
  targetPortalGroupTag: 2,
}

async function metadataOf(directory: string) {
  const store = await openEmbeddedStore({ directory })
  const beginEpoch = (epoch: number) => {
    const head = { uuid: 'u', state: 'ready', epoch } as VolumeHead
    const value = encodeValue('volume', head)
    return store.transact({ compare: [], success: [{ do: 'put', key: keys.head('v'), value }] })
  }
  return { store, beginEpoch }
}

/** A host registers, without APTPL, at whoever owns the volume in this epoch. */
async function register(store: MetadataStore, epoch: number): Promise<void> {
  const owner = new Reservations(reservationStorage(store, { name: 'v', uuid: 'u', epoch }))
  await owner.load({ afterPowerLoss: false })
  await owner.change(HOST, { do: 'registerAndIgnoreExistingKey', newKey: 7n, persist: false })
}

async function keysAfter(states: VolumeStates, epoch: number): Promise<bigint[]> {
  const owned = { name: 'v', uuid: 'u', epoch, extents: { usedBytes: 0 } } as unknown as OwnedHere
  const { reservations } = await states.open(owned, {} as Brick)
  return reservations.state.registrations.map(({ key }) => key)
}

test('reservations: without APTPL a restart of the only daemon ends them, owning the volume again does not', async () => {
  using directory = temporaryDirectory('volume-states')
  const { store, beginEpoch } = await metadataOf(directory.path)
  await using _ = store
  await beginEpoch(7)
  await register(store, 7)
  const states = new VolumeStates(store, CONFIG, new Map([['u', 7]]))
  await beginEpoch(8)
  expect(await keysAfter(states, 8)).toEqual([])
  await register(store, 8)
  await beginEpoch(9)
  expect(await keysAfter(states, 9)).toEqual([7n])
})

test('reservations: made at another owner since the daemon that takes over had started alone, they hold', async () => {
  using directory = temporaryDirectory('volume-states')
  const { store, beginEpoch } = await metadataOf(directory.path)
  await using _ = store
  await beginEpoch(6)
  const states = new VolumeStates(store, CONFIG, new Map([['u', 6]]))
  await beginEpoch(7)
  await register(store, 7)
  await beginEpoch(8)
  expect(await keysAfter(states, 8)).toEqual([7n])
})

test('reservations: of a volume made after the start of the daemon that takes over, they hold', async () => {
  using directory = temporaryDirectory('volume-states')
  const { store, beginEpoch } = await metadataOf(directory.path)
  await using _ = store
  const states = new VolumeStates(store, CONFIG, new Map())
  await beginEpoch(2)
  await register(store, 2)
  await beginEpoch(3)
  expect(await keysAfter(states, 3)).toEqual([7n])
})

test('reservations: what a loss of power ends is ended by the next attempt when the first one fails', async () => {
  using directory = temporaryDirectory('volume-states')
  const { store, beginEpoch } = await metadataOf(directory.path)
  await using _ = store
  await beginEpoch(7)
  await register(store, 7)
  const states = new VolumeStates(store, CONFIG, new Map([['u', 7]]))
  // The head says 7 still: the state cannot be stored in an epoch that has not begun.
  await expect(keysAfter(states, 8)).rejects.toThrow('no longer ours')
  await beginEpoch(9)
  expect(await keysAfter(states, 9)).toEqual([])
})
