import type { Member } from './member.ts'
import type { SetClass } from './set-class.ts'

/** Whom a piece of a read has been asked of, and what they could not verify. Reused. */
export class ReadSources {
  readonly #asked: Member[] = []
  #badMember: Member | null = null
  #badAtBytes = 0
  #badCount = 0

  /** The member whose bad block is to be repaired by what another one gave; null when all was well. */
  get badMember(): Member | null {
    return this.#badMember
  }

  get badAtBytes(): number {
    return this.#badAtBytes
  }

  /** Some member has a block that fails its checksum. */
  get anyBad(): boolean {
    return this.#badCount > 0
  }

  /** Whoever was asked has a block that fails its checksum. */
  get allBad(): boolean {
    return this.#badCount === this.#asked.length
  }

  /** The own brick first, then the others; none that has been asked already. */
  next({ local, sources }: SetClass): Member | null {
    if (local?.reachable && !this.#asked.includes(local)) return local
    for (const member of sources) if (member.reachable && !this.#asked.includes(member)) return member
    return null
  }

  haveAskedAll({ sources }: SetClass): boolean {
    return sources.every(member => this.#asked.includes(member))
  }

  /** It did not give what it was asked for. */
  failed(member: Member): void {
    this.#asked.push(member)
  }

  foundBad(member: Member, atBytes: number): void {
    this.#badCount++
    if (this.#badMember !== null) return
    this.#badMember = member
    this.#badAtBytes = atBytes
  }

  forget(): void {
    // Of each change too: to set a length that it has already costs as much as the rest of this.
    if (this.#asked.length > 0) this.#asked.length = 0
    this.#badMember = null
    this.#badCount = 0
  }
}
