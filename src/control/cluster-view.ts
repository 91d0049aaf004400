import type { Catalogue } from './catalogue.ts'
import type { ClusterOverview } from './control.ts'
import { rangesOf } from './layout.ts'
import type { Model } from './model.ts'
import type { PeerWatch } from './peer-watch.ts'
import { mayTake } from './placement/peers.ts'
import { type MovePlan, planMoves } from './placement/plan-moves.ts'
import { shownReplicas } from './replica-view.ts'

interface KnownPlan {
  readonly layoutChanges: number
  /** Numbers of the peers that may take something. */
  readonly able: string
  readonly plan: MovePlan
}

/** A plan looks at every range of every volume: seconds, where there are a hundred thousand. */
const lastPlans = new WeakMap<Model, KnownPlan>()

/** What should move where, from what the catalogue holds now. */
export function currentPlan({ model }: Catalogue): MovePlan {
  const known = lastPlans.get(model)
  const { layoutChanges } = model
  const able = model.peers
    .filter(({ id }) => mayTake(model.registration(id)))
    .map(({ value }) => value.number)
  if (known?.layoutChanges === layoutChanges && known.able === able.join()) return known.plan
  const plan = planOf(model, new Set(able))
  lastPlans.set(model, { layoutChanges, able: able.join(), plan })
  return plan
}

function planOf(model: Model, able: ReadonlySet<number>): MovePlan {
  const volumes = model.volumeNames.flatMap(name => {
    const head = model.volume(name)
    if (head?.state !== 'ready') return []
    // What is placed for a size that the volume has not come to have yet is nobody's to move.
    const ranges = model.placement(name).slice(0, rangesOf(head.sizeBytes))
    return [{ name, uuid: head.uuid, replicas: head.replicas, ranges }]
  })
  return planMoves(model.peers, volumes, number => able.has(number))
}

/** The whole cluster in a few numbers, as the peer `here` sees it. */
export function clusterOverview(catalogue: Catalogue, watch: PeerWatch, here: string): ClusterOverview {
  const { model } = catalogue
  const { moves, balanced } = currentPlan(catalogue)
  const volumes = { ok: 0, degraded: 0, waiting: 0 }
  for (const name of model.volumeNames) {
    const head = model.volume(name)
    if (head?.state === 'ready') volumes[shownReplicas(name, head, model, here).health]++
  }
  return {
    peers: model.peers.length,
    peersUp: model.peers.filter(({ id }) => watch.awayMs(id) === 0).length,
    volumes,
    balanced,
    rangesToMove: moves.length,
    metadata: catalogue.complete ? 'current' : 'unreachable',
  }
}
