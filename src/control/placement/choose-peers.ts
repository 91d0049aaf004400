import type { PlaceablePeer } from './peers.ts'
import { domainsOf, weightOf } from './peers.ts'
import { rendezvousScore } from './rendezvous.ts'

/**
 * The peers for one range, best first: each as far from the others as there is a choice (another zone, else
 * another rack of it, else another host), and of those the one that scores highest. Never two on one host, so
 * fewer than `replicas` where there are fewer hosts.
 */
export function choosePeers(
  volumeUuid: string,
  range: number,
  replicas: number,
  peers: readonly PlaceablePeer[],
): PlaceablePeer[] {
  const ranked = peers
    .map(peer => ({
      peer,
      score: rendezvousScore(volumeUuid, range, peer.value.number, weightOf(peer)),
    }))
    .sort((a, b) => b.score - a.score)
    .map(({ peer }) => peer)
  const chosen: PlaceablePeer[] = []
  while (chosen.length < replicas) {
    const next = farthest(ranked, chosen)
    if (next === null) break
    chosen.push(next)
  }
  return chosen
}

/** The first of `ranked` in a zone of its own, else in a rack, else on a host; null when all hosts are taken. */
function farthest(ranked: readonly PlaceablePeer[], chosen: readonly PlaceablePeer[]): PlaceablePeer | null {
  for (const level of ['zone', 'rack', 'host'] as const) {
    const taken = new Set(chosen.map(peer => domainsOf(peer)[level]))
    const free = ranked.find(peer => !taken.has(domainsOf(peer)[level]))
    if (free !== undefined) return free
  }
  return null
}
