import type { EpochMembers } from './epoch-members.ts'
import type { EpochOpening } from './epoch-opening.ts'
import type { Ownership } from './ownership.ts'
import type { Leaver } from './sets.ts'

/** Who is to leave the sets of an epoch, and in which order where not all may. PROTOCOL rules 8 and 22. */
export class Departures {
  readonly #ownership: Ownership
  readonly #members: EpochMembers
  readonly #opening: EpochOpening
  readonly #wanted = new Map<number, Leaver>()

  constructor(ownership: Ownership, members: EpochMembers, opening: EpochOpening) {
    this.#ownership = ownership
    this.#members = members
    this.#opening = opening
  }

  /** Somebody is to leave who has not yet. */
  get areWanted(): boolean {
    return this.#wanted.size > 0
  }

  /** The member is to leave as soon as a transaction says so, where M remain. */
  want(peer: number, full: boolean): void {
    const before = this.#wanted.get(peer)
    if (this.#ownership.ended || (before !== undefined && (before.full || !full))) return
    this.#wanted.set(peer, { peer, full })
    void this.#ownership.serially(() => this.#removeWanted())
  }

  /** Whether some of them have left some range. */
  async leave(leavers: readonly Leaver[]): Promise<boolean> {
    const outcome = await this.#ownership.sets.remove(leavers)
    if (outcome === 'unchanged') this.cannotLeave(leavers)
    if (outcome === 'superseded') this.#ownership.superseded()
    if (outcome === 'changed') await this.#ownership.standAlone()
    return outcome === 'changed'
  }

  /**
   * They are needed: one whose process is another takes its place again only by a new epoch, and so do others where
   * the one that they were to be made like is gone.
   */
  cannotLeave(leavers: readonly Leaver[]): void {
    const { sets } = this.#ownership
    if (leavers.some(({ peer }) => this.#members.of(peer).restarted))
      return this.#ownership.end('a member that M need has restarted')
    const gone = leavers.filter(({ peer }) => !this.#members.of(peer).reachable).map(({ peer }) => peer)
    const without = sets.current.map(set => set.filter(peer => !gone.includes(peer)))
    if (this.#opening.losesSource(sets.current, without))
      this.#ownership.end('the only member that others could be made like is gone')
  }

  async #removeWanted(): Promise<void> {
    const { current, everybody } = this.#ownership.sets
    const wanted = [...this.#wanted.values()].filter(({ peer }) => current.some(set => set.includes(peer)))
    this.#wanted.clear()
    if (wanted.length === 0) return
    // Where only so many may leave, those that have nothing go first, then those that cannot be reached.
    const empty = everybody.filter(member => !member.fenced && this.#opening.isEmpty(member.peerNumber))
    const reachable = ({ peer }: Leaver) => Number(this.#members.of(peer).reachable)
    wanted.sort((a, b) => reachable(a) - reachable(b))
    await this.leave([...empty.map(({ peerNumber }) => ({ peer: peerNumber, full: true })), ...wanted])
  }
}
