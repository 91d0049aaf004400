import type { OwnedStatistics } from '../replication.ts'
import type { Ownership } from './ownership.ts'
import { placedPeers } from './sets.ts'

/** What `status` and the metrics show of an owned volume. */
export function ownedStatistics(
  { name, uuid, epoch, sets, extents }: Ownership,
  regionsToReconcile: number,
  copy: OwnedStatistics['copy'],
): OwnedStatistics {
  const { current, placement } = sets
  const peers = placedPeers(placement)
  const isOut = (peer: number) =>
    placement.some((all, range) => all.includes(peer) && !current[range]!.includes(peer))
  return {
    name,
    uuid,
    epoch,
    inSync: peers.filter(peer => !isOut(peer)),
    out: peers.filter(isOut),
    rangesWaiting: placement.filter((_, range) => !sets.isServed(range)).length,
    regionsToReconcile,
    operationsInFlight: extents.operationsInFlight,
    copy,
    readableUntilMs: extents.classes.reduce((until, cls) => Math.min(until, cls.readUntilMs), Infinity),
  }
}
