import { decodeValue, keys } from '../control/layout.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PeerIdentity } from '../replication/peer-network.ts'

/**
 * Why a daemon that says it is `from` is not let in, or null: the metadata knows the peer by that number, its brick
 * as that peer's, and the brick's open counter as the newest. PROTOCOL rule 1. Reads the metadata, not a cache.
 */
export async function refuseIdentity(
  metadata: MetadataStore,
  clusterId: string,
  from: PeerIdentity,
): Promise<string | null> {
  if (from.clusterId !== clusterId) return `it is of cluster ${from.clusterId}`
  const [peerEntry, brickEntry] = await Promise.all([
    metadata.get(keys.peer(from.peerId)),
    metadata.get(keys.brick(from.brickUuid)),
  ])
  if (peerEntry === null) return `there is no peer '${from.peerId}'`
  const peer = decodeValue('peer', peerEntry.key, peerEntry.value)
  if (peer.number !== from.peerNumber) return `peer '${from.peerId}' has number ${peer.number}`
  if (peer.brick !== undefined && peer.brick !== from.brickUuid) {
    return `peer '${from.peerId}' has another brick by now, ${peer.brick}`
  }
  if (brickEntry === null) return `brick ${from.brickUuid} is not known`
  const brick = decodeValue('brick', brickEntry.key, brickEntry.value)
  if (brick.peer !== from.peerId) return `brick ${from.brickUuid} is of peer '${brick.peer}'`
  if (brick.openCounter !== from.openCounter) {
    return `brick ${from.brickUuid} was opened ${brick.openCounter} times, not ${from.openCounter}`
  }
  return null
}
