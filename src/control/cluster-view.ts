import type { Catalogue } from './catalogue.ts'
import type { ClusterOverview } from './control.ts'
import type { PeerWatch } from './peer-watch.ts'
import { withoutAbsent } from './placement/absent-peers.ts'
import { type MovePlan, planMoves } from './placement/plan-moves.ts'
import { shownReplicas } from './replica-view.ts'

/** A peer away for longer has its ranges made anew elsewhere. */
export const AWAY_GRACE_MS = 10 * 60_000

/** What should move where, from what the catalogue holds now. */
export function currentPlan({ model }: Catalogue, watch: PeerWatch): MovePlan {
  const volumes = model.volumeNames.flatMap(name => {
    const head = model.volume(name)
    if (head?.state !== 'ready') return []
    return [{ name, uuid: head.uuid, replicas: head.replicas, ranges: model.placement(name) }]
  })
  return planMoves(
    withoutAbsent(model.peers, id => watch.awayMs(id), AWAY_GRACE_MS),
    volumes,
  )
}

/** The whole cluster in a few numbers. */
export function clusterOverview(catalogue: Catalogue, watch: PeerWatch): ClusterOverview {
  const { model } = catalogue
  const { moves, balanced } = currentPlan(catalogue, watch)
  const volumes = { ok: 0, degraded: 0, waiting: 0 }
  for (const name of model.volumeNames) {
    const head = model.volume(name)
    if (head?.state === 'ready') volumes[shownReplicas(name, head, model).health]++
  }
  return {
    peers: model.peers.length,
    peersUp: model.peers.filter(({ id }) => watch.awayMs(id) === 0).length,
    volumes,
    balanced,
    rangesToMove: moves.length,
    metadata: catalogue.current ? 'current' : 'unreachable',
  }
}
