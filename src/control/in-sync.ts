import { isInSync, type VolumeHead } from './layout.ts'

/** Small number of the peer that a brick is of; null: no record says. */
export type PeerOfBrick = (brickUuid: string) => number | null

/** S(r) for every range: the placement minus the bricks that are out there. In the placement's order. */
export function inSyncSets(
  head: Pick<VolumeHead, 'out'>,
  placement: readonly (readonly number[])[],
  names: { readonly peerOf: PeerOfBrick },
): number[][] {
  const outs = head.out.map(out => ({ out, peer: names.peerOf(out.uuid) }))
  return placement.map((peers, range) =>
    peers.filter(peer => !outs.some(({ out, peer: gone }) => gone === peer && !isInSync(out, range))),
  )
}
