import { HoldfastError } from '../errors/holdfast-error.ts'
import { type PlacementPage, RANGES_PER_PAGE, rangesOf } from './layout.ts'
import { choosePeers } from './placement/choose-peers.ts'
import { type PlaceablePeer, takingPeers } from './placement/peers.ts'

export const REPLICAS_MAX = 5
export const REPLICAS_DEFAULT_MAX = 3

export interface Replication {
  readonly replicas: number
  readonly minReplicas: number
  /** What M becomes once there are enough replicas for it; absent when it is that. */
  readonly minReplicasWanted?: number
}

/**
 * R and M of CONTRACT.md: R = min(3, domains) and M = floor(R/2)+1 unless given. More than there are domains
 * is refused with ERR_REPLICAS_UNAVAILABLE unless `allowDegraded`; unless M is given too it is what there is room for,
 * until there is more. `away`: peers that are not among those domains since they are down.
 */
export function chooseReplication(
  domains: number,
  wanted: { replicas?: number; minReplicas?: number; allowDegraded?: boolean },
  away: readonly string[] = [],
): Replication {
  const replicas = wanted.replicas ?? Math.min(REPLICAS_DEFAULT_MAX, domains)
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', `replicas go from 1 to ${REPLICAS_MAX}, not ${replicas}`)
  }
  if (replicas > domains && wanted.allowDegraded !== true) {
    throw new HoldfastError(
      'ERR_REPLICAS_UNAVAILABLE',
      `${replicas} replicas need ${replicas} failure domains and there are ${domains}${whileAway(away)}: ` +
        `${away.length === 0 ? 'add peers' : 'wait for it'}, ask for fewer, or confirm with --allow-degraded`,
    )
  }
  const placed = Math.min(replicas, domains)
  const usual = Math.floor(replicas / 2) + 1
  const minReplicas = wanted.minReplicas ?? Math.min(usual, placed)
  if (!Number.isInteger(minReplicas) || minReplicas < 1 || minReplicas > replicas) {
    throw new HoldfastError(
      'ERR_ARGUMENT_INVALID',
      `with ${replicas} replica${replicas === 1 ? '' : 's'}, the minimum to acknowledge a write goes from 1 to ${replicas}, not ${minReplicas}`,
    )
  }
  if (minReplicas > placed) {
    throw new HoldfastError(
      'ERR_REPLICAS_UNAVAILABLE',
      `no write could be acknowledged: ${minReplicas} replicas must have it and there is room for ${placed}`,
    )
  }
  const isShort = wanted.minReplicas === undefined && minReplicas < usual
  return isShort ? { replicas, minReplicas, minReplicasWanted: usual } : { replicas, minReplicas }
}

function whileAway(away: readonly string[]): string {
  return away.length === 0 ? '' : ` while ${away.map(id => `peer '${id}'`).join(', ')} is down`
}

export function pagesOf(sizeBytes: number): number {
  return Math.ceil(rangesOf(sizeBytes) / RANGES_PER_PAGE)
}

/**
 * The placement of page `page` of a volume of `sizeBytes`: each range on `replicas` different hosts, or on as many
 * as there are. `kept` are ranges placed before.
 */
export function placePage(
  page: number,
  volume: { readonly uuid: string; readonly sizeBytes: number; readonly replicas: number },
  peers: readonly PlaceablePeer[],
  kept: PlacementPage['ranges'] = [],
): PlacementPage {
  const taking = takingPeers(peers)
  const first = page * RANGES_PER_PAGE
  const ranges = Math.min(RANGES_PER_PAGE, rangesOf(volume.sizeBytes) - first)
  const placed = kept.slice(0, ranges)
  for (let at = placed.length; at < ranges; at++) {
    const chosen = choosePeers(volume.uuid, first + at, volume.replicas, taking)
    placed.push(chosen.map(({ value }) => value.number))
  }
  return { ranges: placed }
}
