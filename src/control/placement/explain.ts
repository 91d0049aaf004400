import { choosePeers } from './choose-peers.ts'
import { domainsOf, type PlaceablePeer, takingPeers } from './peers.ts'

/** Neighbouring ranges that lie on the same peers. */
export interface PlacementShown {
  readonly firstRange: number
  readonly lastRange: number
  /** Names, or `number N` of a peer that was removed. */
  readonly peers: readonly string[]
  readonly why: string
}

/** Where a volume lives and why, in as few lines as there are different sets of peers next to each other. */
export function explainPlacement(
  volume: { readonly uuid: string; readonly replicas: number },
  ranges: readonly (readonly number[])[],
  peers: readonly PlaceablePeer[],
): PlacementShown[] {
  const byNumber = new Map(peers.map(peer => [peer.value.number, peer]))
  const taking = takingPeers(peers)
  const lines: { firstRange: number; lastRange: number; key: string; peers: string[]; why: string }[] = []
  ranges.forEach((numbers, range) => {
    const placed = numbers.map(number => byNumber.get(number) ?? null)
    const wanted = choosePeers(volume.uuid, range, volume.replicas, taking)
    const why = reason(volume.replicas, placed, wanted, taking)
    const key = `${numbers.join()} ${why}`
    const last = lines.at(-1)
    if (last?.key === key) last.lastRange = range
    else {
      const names = numbers.map(number => byNumber.get(number)?.id ?? `number ${number}`)
      lines.push({ firstRange: range, lastRange: range, key, peers: names, why })
    }
  })
  return lines.map(({ key: _, ...shown }) => shown)
}

function reason(
  replicas: number,
  placed: readonly (PlaceablePeer | null)[],
  wanted: readonly PlaceablePeer[],
  taking: readonly PlaceablePeer[],
): string {
  const here = placed.filter(peer => peer !== null)
  if (here.length < placed.length) return 'a peer was removed: its copy is to be made elsewhere'
  const draining = here.filter(({ value }) => value.draining === true)
  if (draining.length > 0) return `${draining.map(({ id }) => id).join(', ')} is being drained`
  if (here.length < replicas) {
    const more = wanted.length > here.length ? 'another is to be made' : 'no other host has room for more'
    return `${here.length} of ${replicas} replicas: ${more}`
  }
  if (here.length > replicas) return `${here.length} replicas, ${replicas} wanted: what is too many goes`
  const wantedIds = new Set(wanted.map(({ id }) => id))
  if (here.some(({ id }) => !wantedIds.has(id))) return 'stays where it was placed: the cluster is in balance'
  if (taking.length === here.length) return 'every peer has a copy'
  return `won the weighted draw among ${taking.length} peers, ${spread(here)}`
}

/** The widest domain that no two of them share. */
function spread(peers: readonly PlaceablePeer[]): string {
  const different = (level: 'zone' | 'rack' | 'host') =>
    new Set(peers.map(peer => domainsOf(peer)[level])).size === peers.length
  if (peers.length === 1) return 'alone'
  if (different('zone')) return 'in different zones'
  return different('rack') ? 'in different racks' : 'on different hosts'
}
