import { inSyncSets } from './in-sync.ts'
import { fencesNeeded, type VolumeHead } from './layout.ts'
import type { Model } from './model.ts'
import { type ResyncShown, shownResync } from './resync-view.ts'

export interface VolumeMember {
  readonly peer: string
  readonly state: 'in sync' | 'behind' | 'away'
  /** Ranges that are placed there, and those of them that are not in sync there. */
  readonly ranges: number
  readonly behindRanges: number
  /** Null while nothing of the volume is copied there. */
  readonly resync: ResyncShown | null
}

export interface ReplicasShown {
  /** The peer that orders the volume's writes now. */
  readonly owner: string | null
  /**
   * ok: every replica is in sync and its peer is up. degraded: some are not, M are. waiting: some range has fewer than M,
   * or than M was before it fell, and its I/O waits.
   */
  readonly health: 'ok' | 'degraded' | 'waiting'
  readonly members: readonly VolumeMember[]
  readonly lossGeneration: number
}

/** Who holds the volume now, as the metadata tells. `here` is the peer that asks: it is up, registered or not. */
export function shownReplicas(name: string, head: VolumeHead, model: Model, here: string): ReplicasShown {
  const placement = model.placement(name)
  const inSync = inSyncSets(head, placement, model)
  const living = new Map(model.peers.map(({ id, value }) => [value.number, id]))
  const peers = new Map([...model.gonePeers, ...living])
  const isRegistered = (id: string) => model.registration(id) !== null
  const isUp = new Map([...living].map(([number, id]) => [number, id === here || isRegistered(id)]))
  // A peer that replicates with nobody neither registers nor claims volumes: it serves them all.
  const isAlone = model.peers.every(({ id }) => !isRegistered(id))
  const members = new Map<number, { ranges: number; behindRanges: number }>()
  let fewest = Number.POSITIVE_INFINITY
  let isWaiting = false
  placement.forEach((numbers, range) => {
    for (const number of numbers) {
      const member = members.get(number) ?? { ranges: 0, behindRanges: 0 }
      members.set(number, member)
      member.ranges++
      if (!inSync[range]!.includes(number)) member.behindRanges++
    }
    const set = inSync[range]!
    const reachable = set.filter(number => isUp.get(number) === true).length
    fewest = Math.min(fewest, reachable)
    if (reachable < fencesNeeded(head, set.length)) isWaiting = true
  })
  return {
    owner: model.owner(name)?.peer ?? (isAlone && head.state === 'ready' ? here : null),
    health: isWaiting ? 'waiting' : fewest < head.replicas ? 'degraded' : 'ok',
    members: [...members].map(([number, counts]) => ({
      peer: peers.get(number) ?? `number ${number}`,
      state: isUp.get(number) !== true ? 'away' : counts.behindRanges > 0 ? 'behind' : 'in sync',
      ...counts,
      resync: shownResync(model, number, head.uuid),
    })),
    lossGeneration: head.lossGeneration,
  }
}
