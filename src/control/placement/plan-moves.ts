import { choosePeers } from './choose-peers.ts'
import { domainsOf, type PlaceablePeer, takingPeers, weightOf } from './peers.ts'

/** One volume as the planner sees it. */
export interface PlacedVolume {
  readonly name: string
  readonly uuid: string
  readonly replicas: number
  /** Per range the small numbers of its peers. */
  readonly ranges: readonly (readonly number[])[]
}

/**
 * One range that is to change its peers. `from` null adds a replica, `to` null takes one away. Done one at a
 * time per range; the plan is made anew from what is there then.
 */
export interface PlannedMove {
  readonly volume: string
  readonly range: number
  readonly from: number | null
  readonly to: number | null
  readonly why: 'repair' | 'replicas' | 'apart' | 'drain' | 'balance'
}

export interface MovePlan {
  /** In the order in which they should be done: what is missing first, balance last. */
  readonly moves: readonly PlannedMove[]
  readonly balanced: boolean
}

/** Shares of the ranges may differ by this part of the mean before anything is moved for balance. */
const TOLERANCE = 0.1
/** And by this many ranges at least: 16 GiB. */
const TOLERANCE_RANGES = 4
const ORDER = { repair: 0, replicas: 1, apart: 2, drain: 3, balance: 4 } as const

/**
 * What should move where, given every peer of the cluster (those that are away too, unless they were removed)
 * and every volume. Pure: the same input gives the same plan. What has to move goes to another peer where the one that
 * the draw wants may not take it now (it is away, or nearly full), and is planned for that one where nobody may.
 */
export function planMoves(
  peers: readonly PlaceablePeer[],
  volumes: readonly PlacedVolume[],
  mayTake: (peerNumber: number) => boolean = () => true,
): MovePlan {
  const known = new Map(peers.map(peer => [peer.value.number, peer]))
  const taking = takingPeers(peers)
  const able = taking.filter(({ value }) => mayTake(value.number))
  const load = new Map<number, number>(peers.map(peer => [peer.value.number, 0]))
  const moves: PlannedMove[] = []
  const settled: { volume: PlacedVolume; range: number; wanted: number[] }[] = []
  for (const volume of volumes) {
    const drawn = (range: number, among: readonly PlaceablePeer[]) =>
      choosePeers(volume.uuid, range, volume.replicas, among).map(({ value }) => value.number)
    volume.ranges.forEach((placed, range) => {
      const wanted = drawn(range, taking)
      const isHere = ({ value }: PlaceablePeer) => placed.includes(value.number)
      const ableOrHere = () =>
        drawn(
          range,
          taking.filter(peer => able.includes(peer) || isHere(peer)),
        )
      const move = necessaryMove(volume, range, placed, wanted, ableOrHere, known)
      if (move !== null) moves.push(move)
      else settled.push({ volume, range, wanted })
      for (const number of after(placed, move)) load.set(number, (load.get(number) ?? 0) + 1)
    })
  }
  const balancing = balance(settled, taking, load)
  moves.push(...balancing)
  moves.sort((a, b) => ORDER[a.why] - ORDER[b.why])
  return { moves, balanced: moves.length === 0 }
}

/** The change that this range needs whatever the balance; null when it is well where it is. */
function necessaryMove(
  volume: PlacedVolume,
  range: number,
  placed: readonly number[],
  wanted: readonly number[],
  able: () => readonly number[],
  known: ReadonlyMap<number, PlaceablePeer>,
): PlannedMove | null {
  const move = (from: number | null, to: number | null, why: PlannedMove['why']): PlannedMove => ({
    volume: volume.name,
    range,
    from,
    to,
    why,
  })
  const gone = placed.find(number => !known.has(number))
  const staying = placed.filter(number => known.has(number))
  const free = (without: readonly number[]) =>
    firstApart(able(), without, known) ?? firstApart(wanted, without, known)
  if (gone !== undefined) return move(gone, free(staying), 'repair')
  if (placed.length < volume.replicas) {
    const to = free(placed)
    return to === null ? null : move(null, to, 'replicas')
  }
  const leaving = placed.find(number => known.get(number)!.value.draining === true)
  if (placed.length > volume.replicas) {
    return move(
      leaving ?? placed.find(number => !wanted.includes(number)) ?? placed.at(-1)!,
      null,
      'replicas',
    )
  }
  const crowded = crowdedOf(placed, known)
  if (crowded !== null) {
    const to = free(placed.filter(number => number !== crowded))
    if (to !== null) return move(crowded, to, 'apart')
  }
  if (leaving === undefined) return null
  const to = free(placed.filter(number => number !== leaving))
  return to === null ? null : move(leaving, to, 'drain')
}

/** The first of `wanted` that shares a host with none of `others`. */
function firstApart(
  wanted: readonly number[],
  others: readonly number[],
  known: ReadonlyMap<number, PlaceablePeer>,
): number | null {
  const taken = new Set(others.map(number => domainsOf(known.get(number)!).host))
  return wanted.find(number => !taken.has(domainsOf(known.get(number)!).host)) ?? null
}

/** A peer that shares its host with another one of the same range. */
function crowdedOf(placed: readonly number[], known: ReadonlyMap<number, PlaceablePeer>): number | null {
  const hosts = new Set<string>()
  for (const number of placed) {
    const { host } = domainsOf(known.get(number)!)
    if (hosts.has(host)) return number
    hosts.add(host)
  }
  return null
}

function after(placed: readonly number[], move: PlannedMove | null): number[] {
  if (move === null) return [...placed]
  return [...placed.filter(number => number !== move.from), ...(move.to === null ? [] : [move.to])]
}

/** Moves from peers that have more than their share to where rendezvous hashing wants the range anyway. */
function balance(
  settled: readonly { volume: PlacedVolume; range: number; wanted: number[] }[],
  taking: readonly PlaceablePeer[],
  load: Map<number, number>,
): PlannedMove[] {
  const weights = taking.reduce((sum, peer) => sum + weightOf(peer), 0)
  const total = taking.reduce((sum, { value }) => sum + (load.get(value.number) ?? 0), 0)
  const fair = new Map(taking.map(peer => [peer.value.number, (total * weightOf(peer)) / weights]))
  const slack = (number: number) => Math.max(TOLERANCE_RANGES, (fair.get(number) ?? 0) * TOLERANCE)
  const over = (number: number) => load.get(number)! > (fair.get(number) ?? 0) + slack(number)
  const under = (number: number) => load.get(number)! < (fair.get(number) ?? 0)
  const moves: PlannedMove[] = []
  for (const { volume, range, wanted } of settled) {
    const placed = volume.ranges[range]!
    const to = wanted.find(number => !placed.includes(number) && under(number))
    const from = placed.find(number => !wanted.includes(number) && over(number))
    if (to === undefined || from === undefined) continue
    if (
      !apart(
        to,
        placed.filter(number => number !== from),
        taking,
      )
    )
      continue
    moves.push({ volume: volume.name, range, from, to, why: 'balance' })
    load.set(from, load.get(from)! - 1)
    load.set(to, load.get(to)! + 1)
  }
  return moves
}

function apart(to: number, others: readonly number[], peers: readonly PlaceablePeer[]): boolean {
  const hostOf = (number: number) => {
    const peer = peers.find(({ value }) => value.number === number)
    return peer === undefined ? null : domainsOf(peer).host
  }
  return others.every(number => hostOf(number) !== hostOf(to))
}
