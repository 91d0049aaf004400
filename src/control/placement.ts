import { HoldfastError } from '../errors/holdfast-error.ts'
import { type PeerValue, type PlacementPage, RANGE_BYTES, RANGES_PER_PAGE } from './layout.ts'

/** A page has room for four peers per range, the fourth during a move. */
const REPLICAS_MAX = 3

export interface PlaceablePeer {
  readonly id: string
  readonly value: PeerValue
}

export interface Replication {
  readonly replicas: number
  readonly minReplicas: number
}

/** Peers by failure domain: the `host` label, or the peer itself when it has none. */
export function failureDomains(peers: readonly PlaceablePeer[]): PlaceablePeer[][] {
  const domains = new Map<string, PlaceablePeer[]>()
  for (const peer of peers) {
    const host = peer.value.labels.host
    const key = host === undefined ? `peer ${peer.id}` : `host ${host}`
    domains.set(key, [...(domains.get(key) ?? []), peer])
  }
  return [...domains.values()]
}

/**
 * R and M of CONTRACT.md: R = min(3, domains) and M = floor(R/2)+1 unless given. More than there are domains
 * is refused with ERR_REPLICAS_UNAVAILABLE unless `allowDegraded`; M is then what can be reached, at most.
 */
export function chooseReplication(
  domains: number,
  wanted: { replicas?: number; minReplicas?: number; allowDegraded?: boolean },
): Replication {
  const replicas = wanted.replicas ?? Math.min(REPLICAS_MAX, domains)
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > REPLICAS_MAX) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', `replicas go from 1 to ${REPLICAS_MAX}, not ${replicas}`)
  }
  if (replicas > domains && wanted.allowDegraded !== true) {
    throw new HoldfastError(
      'ERR_REPLICAS_UNAVAILABLE',
      `${replicas} replicas need ${replicas} failure domains and there are ${domains}: ` +
        'add peers, ask for fewer, or confirm with --allow-degraded',
    )
  }
  const placed = Math.min(replicas, domains)
  const minReplicas = wanted.minReplicas ?? Math.min(Math.floor(replicas / 2) + 1, placed)
  if (!Number.isInteger(minReplicas) || minReplicas < 1 || minReplicas > replicas) {
    throw new HoldfastError(
      'ERR_ARGUMENT_INVALID',
      `with ${replicas} replicas, the minimum to acknowledge a write goes from 1 to ${replicas}, not ${minReplicas}`,
    )
  }
  if (minReplicas > placed) {
    throw new HoldfastError(
      'ERR_REPLICAS_UNAVAILABLE',
      `no write could be acknowledged: ${minReplicas} replicas must have it and there is room for ${placed}`,
    )
  }
  return { replicas, minReplicas }
}

export function pagesOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / RANGE_BYTES / RANGES_PER_PAGE)
}

/**
 * The placement of page `page` of a volume of `sizeBytes`: each range on `replicas` different domains (fewer
 * where there are fewer), going round so that all peers get alike many. `kept` are ranges placed before.
 */
export function placePage(
  page: number,
  sizeBytes: number,
  replicas: number,
  domains: readonly (readonly PlaceablePeer[])[],
  kept: PlacementPage['ranges'] = [],
): PlacementPage {
  const ranges = Math.min(RANGES_PER_PAGE, Math.ceil(sizeBytes / RANGE_BYTES) - page * RANGES_PER_PAGE)
  const placed = kept.slice(0, ranges)
  for (let at = placed.length; at < ranges; at++) {
    const range = page * RANGES_PER_PAGE + at
    placed.push(placeRange(range, replicas, domains))
  }
  return { ranges: placed }
}

function placeRange(
  range: number,
  replicas: number,
  domains: readonly (readonly PlaceablePeer[])[],
): number[] {
  const turns = Math.floor(range / domains.length)
  return Array.from({ length: Math.min(replicas, domains.length) }, (_, at) => {
    const domain = domains[(range + at) % domains.length]!
    return domain[turns % domain.length]!.value.number
  })
}
