import type { Catalogue } from '../control/catalogue.ts'
import { currentPlan } from '../control/cluster-view.ts'
import { choosePeers } from '../control/placement/choose-peers.ts'
import { domainsOf, mayTake, type PlaceablePeer, takingPeers } from '../control/placement/peers.ts'
import type { PlannedMove } from '../control/placement/plan-moves.ts'
import type { CopyPlanner, WantedChange } from '../replication/resync/resync-ports.ts'

/** Above this part of the peers it is no death of a peer but of something that they share. PROTOCOL rule 21. */
const AWAY_PART_MAX = 1 / 4
/** The plan looks at every range of every volume; owners ask for it volume by volume. */
const PLAN_AGE_MS_MAX = 200

/** What owners should copy where, from the placement that the metadata holds. */
export class CataloguePlanner implements CopyPlanner {
  readonly #catalogue: Catalogue
  readonly #nowMs: () => number
  #plan = new Map<string, PlannedMove[]>()
  #plannedAtMs = Number.NEGATIVE_INFINITY
  /** Revision of the catalogue that the plan was made from. */
  #plannedOf: bigint | null = null

  constructor(catalogue: Catalogue, nowMs: () => number) {
    this.#catalogue = catalogue
    this.#nowMs = nowMs
  }

  wanted(volumeUuid: string): readonly WantedChange[] {
    const name = this.#catalogue.model.nameOf(volumeUuid)
    if (name === null) return []
    return (this.#current().get(name) ?? [])
      .filter(({ to }) => to === null || this.#mayTake(to))
      .map(({ range, from, to }) => ({ range, joins: to, leaves: from }))
  }

  substitute(volumeUuid: string, range: number, gone: number): number | null {
    const { model } = this.#catalogue
    const name = this.#catalogue.model.nameOf(volumeUuid)
    const away = model.peers.filter(({ id }) => model.registration(id) === null).length
    if (name === null || away > model.peers.length * AWAY_PART_MAX) return null
    const others = (model.placement(name)[range] ?? []).filter(number => number !== gone)
    const taken = new Set(
      others.flatMap(number => this.#peer(number) ?? []).map(peer => domainsOf(peer).host),
    )
    const able = takingPeers(model.peers).filter(peer => {
      const { number } = peer.value
      return number !== gone && this.#mayTake(number) && !taken.has(domainsOf(peer).host)
    })
    return choosePeers(volumeUuid, range, 1, able)[0]?.value.number ?? null
  }

  isFull(number: number): boolean {
    const peer = this.#peer(number)
    const registration = peer === null ? null : this.#catalogue.model.registration(peer.id)
    return registration !== null && !mayTake(registration)
  }

  #mayTake(number: number): boolean {
    const peer = this.#peer(number)
    return peer !== null && mayTake(this.#catalogue.model.registration(peer.id))
  }

  #peer(number: number): PlaceablePeer | null {
    return this.#catalogue.model.peers.find(({ value }) => value.number === number) ?? null
  }

  #current(): Map<string, PlannedMove[]> {
    const nowMs = this.#nowMs()
    const { revision } = this.#catalogue
    const isYoung = nowMs - this.#plannedAtMs <= PLAN_AGE_MS_MAX
    if (isYoung || revision === this.#plannedOf) return this.#plan
    this.#plannedAtMs = nowMs
    this.#plannedOf = revision
    this.#plan = new Map()
    for (const move of currentPlan(this.#catalogue).moves) {
      const moves = this.#plan.get(move.volume)
      if (moves === undefined) this.#plan.set(move.volume, [move])
      else moves.push(move)
    }
    return this.#plan
  }
}
