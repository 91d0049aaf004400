import type { Model } from '../control/model.ts'
import type { PeerNetwork } from '../replication/peer-network.ts'

/**
 * Small numbers of the peers of other processes where clients may be served: those that are registered, and those that have
 * lost only their lease, as a daemon does that cannot reach the metadata.
 */
export function otherGateways(
  model: Model,
  own: ReadonlySet<string>,
  network: Pick<PeerNetwork, 'link'>,
): number[] {
  return model.peers
    .filter(({ id }) => !own.has(id))
    .filter(({ id, value }) => model.registration(id) !== null || network.link(value.number).isUp)
    .map(({ value }) => value.number)
}
