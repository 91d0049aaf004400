import { readableUntilMs } from './grants.ts'
import type { Member } from './member.ts'

/** Ranges that have the same in-sync set share one: the write path looks nothing else up. */
export class SetClass {
  /** Who must acknowledge a write. While a change is unresolved these are the members of old and new. */
  readonly members: readonly Member[]
  /** The sets of which each must be able to grant reads: one, or old and new. PROTOCOL rule 8. */
  readonly quorums: readonly (readonly Member[])[]
  /** Who may be read: in old and new alike. One that leaves may miss writes, one that joins is none yet. */
  readonly sources: readonly Member[]
  readonly minReplicas: number
  /** The own brick where it is one of the sources: read first. */
  readonly local: Member | null
  /** M members are fenced, one of them warm, and the rest has left. PROTOCOL rule 7. */
  served: boolean
  /** A member is leaving: new writes wait until it is confirmed. PROTOCOL rule 12. */
  frozen = false
  /** bootMs until which reads are authorised. */
  readUntilMs = 0
  readonly #expiries: number[] = []

  constructor(quorums: readonly (readonly Member[])[], minReplicas: number, served: boolean) {
    this.quorums = quorums
    this.members = [...new Set(quorums.flat())]
    this.minReplicas = minReplicas
    this.served = served
    this.sources = this.members.filter(member => quorums.every(quorum => quorum.includes(member)))
    this.local = this.sources.find(member => member.local !== null) ?? null
  }

  /** After a grant has come. */
  refresh(): void {
    let until = Number.POSITIVE_INFINITY
    for (const quorum of this.quorums) {
      this.#expiries.length = 0
      for (const member of quorum) this.#expiries.push(member.grantedUntilMs)
      until = Math.min(until, readableUntilMs(this.#expiries, this.minReplicas))
    }
    this.readUntilMs = this.quorums.length === 0 ? 0 : until
  }

  /** Old and new members alike must have what is written. */
  get isChanging(): boolean {
    return this.quorums.length > 1
  }

  /** Whether the same members carry out writes of both. */
  isLike(other: SetClass): boolean {
    if (other === this) return true
    return (
      other.members.length === this.members.length && other.members.every(one => this.members.includes(one))
    )
  }

  get reachable(): number {
    let count = 0
    for (const member of this.members) if (member.reachable) count++
    return count
  }
}

/** One class per distinct set, and which of them each range has. */
export function classifyRanges(
  sets: readonly (readonly Member[])[],
  oldSets: readonly (readonly Member[])[] | null,
  minReplicas: number,
  servedBefore: (range: number) => boolean,
): SetClass[] {
  const known = new Map<string, SetClass>()
  return sets.map((set, range) => {
    const old = oldSets?.[range] ?? set
    const served = servedBefore(range)
    const same = old.length === set.length && old.every(member => set.includes(member))
    const quorums = same ? [set] : [old, set]
    const key = `${served} ${quorums.map(quorum => quorum.map(member => member.peerNumber).join()).join(' ')}`
    let found = known.get(key)
    if (found === undefined) {
      found = new SetClass(quorums, minReplicas, served)
      found.refresh()
      known.set(key, found)
    }
    return found
  })
}
