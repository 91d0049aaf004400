import type { PeerValue, RegistrationValue } from '../layout.ts'

export interface PlaceablePeer {
  readonly id: string
  readonly value: PeerValue
}

/** Where a peer stands; two peers share a domain when the texts are equal. */
export interface Domains {
  readonly zone: string
  readonly rack: string
  readonly host: string
}

/** What a peer weighs whose capacity is not known yet. */
const WEIGHT_UNKNOWN = 2 ** 40

export function weightOf({ value }: PlaceablePeer): number {
  return value.capacityBytes ?? WEIGHT_UNKNOWN
}

/**
 * The domains of a peer. Without a `host` label it is a host of its own; racks of two zones differ whatever they
 * are called; peers without a `zone` label share one, and without a `rack` label the rack that has no name.
 */
export function domainsOf({ id, value: { labels } }: PlaceablePeer): Domains {
  const zone = labels.zone ?? ''
  const rack = `${zone}/${labels.rack ?? ''}`
  return { zone, rack, host: labels.host === undefined ? `peer ${id}` : `host ${labels.host}` }
}

/** How many hosts there are: no more replicas than that can be kept apart. */
export function hostsOf(peers: readonly PlaceablePeer[]): number {
  return new Set(peers.map(peer => domainsOf(peer).host)).size
}

/** Peers that may get something new. */
export function takingPeers(peers: readonly PlaceablePeer[]): PlaceablePeer[] {
  return peers.filter(({ value }) => value.draining !== true)
}

/** Nothing is re-created or moved onto a brick that is fuller than this. PROTOCOL rule 21. */
const FILL_MAX = 0.85

/** Up, with a brick that is well and has room for more. */
export function mayTake(registration: RegistrationValue | null): boolean {
  if (registration === null || registration.brickFailed === true) return false
  return registration.usedBytes < registration.capacityBytes * FILL_MAX
}
