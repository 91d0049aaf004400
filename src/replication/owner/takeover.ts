import { decodeValue, encodeValue, keys, type OwnerValue, type VolumeHead } from '../../control/layout.ts'
import type { KeyValue, MetadataStore } from '../../metadata/metadata-store.ts'
import type { PeerIdentity } from '../peer-network.ts'

export interface TakenEpoch {
  readonly entry: KeyValue
  readonly ownerRevision: bigint
}

/**
 * The transaction that begins an epoch: the epoch is still the one that was read, and the owner's key is gone, or
 * is the one that `lapsed` names, whose grants M members say have lapsed. It is beyond `seen`, which is the highest
 * that the candidate's own brick knows: metadata that were rolled back know less. null when somebody else was faster
 * or the outcome cannot be told. PROTOCOL rule 2.
 */
export async function takeEpoch(
  metadata: MetadataStore,
  name: string,
  self: PeerIdentity,
  lease: bigint,
  lapsed: bigint | null,
  seen: (volumeUuid: string) => number,
): Promise<TakenEpoch | null> {
  const headKey = keys.head(name)
  const ownerKey = keys.owner(name)
  const [before, owner] = await Promise.all([metadata.get(headKey), metadata.get(ownerKey)])
  if (before === null || (owner !== null && owner.modRevision !== lapsed)) return null
  const head: VolumeHead = decodeValue('volume', headKey, before.value)
  if (head.state !== 'ready') return null
  const epoch = Math.max(head.epoch, seen(head.uuid)) + 1
  const taken: VolumeHead = { ...head, epoch, generation: head.generation + epoch - head.epoch }
  const value: OwnerValue = {
    peer: self.peerId,
    number: self.peerNumber,
    epoch,
    incarnation: self.incarnation,
  }
  const { succeeded } = await metadata.transact({
    compare: [
      { key: headKey, target: 'modRevision', is: '=', value: before.modRevision },
      { key: ownerKey, target: 'modRevision', is: '=', value: owner?.modRevision ?? 0n },
    ],
    success: [
      { do: 'put', key: headKey, value: encodeValue('volume', taken) },
      { do: 'put', key: ownerKey, value: encodeValue('owner', value), lease },
    ],
  })
  if (!succeeded) return null
  // What the sets are now, by a read that nobody can have overtaken.
  const [entry, mine] = await Promise.all([metadata.get(headKey), metadata.get(ownerKey)])
  if (entry === null || mine === null) return null
  if (decodeValue('volume', headKey, entry.value).epoch !== epoch) return null
  if (decodeValue('owner', ownerKey, mine.value).incarnation !== self.incarnation) return null
  return { entry, ownerRevision: mine.modRevision }
}
