import type { PlaceablePeer } from './peers.ts'

/** Above this part of the peers it is no death of a peer but of something that they share: PROTOCOL.md. */
const AWAY_PART_MAX = 1 / 4

/**
 * The peers to plan with: all but those that have been away for longer than `graceMs`, whose ranges are then
 * re-created elsewhere. While more than a quarter of the peers are away, nobody is given up. `awayMs` answers how
 * long a peer has been away, 0 for one that is here.
 */
export function withoutAbsent(
  peers: readonly PlaceablePeer[],
  awayMs: (peerId: string) => number,
  graceMs: number,
): PlaceablePeer[] {
  const away = peers.filter(({ id }) => awayMs(id) > 0).length
  if (away > peers.length * AWAY_PART_MAX) return [...peers]
  return peers.filter(({ id }) => awayMs(id) <= graceMs)
}
