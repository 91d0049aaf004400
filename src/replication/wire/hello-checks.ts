import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { PeerIdentity } from '../peer-network.ts'

/** The newest connection that was accepted from a peer. */
export interface NewestConnection {
  readonly identity: PeerIdentity
  readonly connection: number
}

/**
 * Whether a daemon may be talked to at all. PROTOCOL rules 1 and 3. Throws ERR_PEER_REFUSED with the reason.
 * `newest` is what was accepted from that peer before.
 */
export function checkHello(
  self: PeerIdentity,
  peer: PeerIdentity,
  connection: number,
  newest: NewestConnection | null,
): void {
  const { peerId } = peer
  if (peer.clusterId !== self.clusterId)
    refuse(`peer '${peerId}' belongs to another cluster, ${peer.clusterId}`)
  if (peer.peerNumber === self.peerNumber) refuse(`peer '${peerId}' has our own number, ${peer.peerNumber}`)
  if (peer.brickUuid === self.brickUuid)
    refuse(`peer '${peerId}' has a copy of our own brick, ${peer.brickUuid}`)
  if (newest === null) return
  const known = newest.identity
  if (peer.brickUuid === known.brickUuid && peer.openCounter < known.openCounter) {
    refuse(
      `the brick of peer '${peerId}' has been opened again since (${peer.openCounter} < ${known.openCounter})`,
    )
  }
  if (peer.incarnation === known.incarnation && connection <= newest.connection) {
    refuse(`connection ${connection} of peer '${peerId}' is older than ${newest.connection}`)
  }
}

function refuse(why: string): never {
  throw new HoldfastError('ERR_PEER_REFUSED', why)
}
