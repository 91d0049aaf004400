import { invariant } from '../../lib/invariant.ts'

interface LiveRecord {
  readonly sequence: number
  /** Pages counted from the ring's first use, never wrapped: position = value modulo the ring's pages. */
  readonly endPage: number
}

/** Which pages of the ring hold records that a replay would still need. Knows no file. */
export class JournalRing {
  #pages: number
  #live: LiveRecord[] = []
  #headPage = 0
  #tailPage = 0

  constructor(pages: number) {
    this.#pages = pages
  }

  get isEmpty(): boolean {
    return this.#live.length === 0
  }

  /** The page where a record of `pages` goes, unbroken by the ring's end, or null when there is no room. */
  append(sequence: number, pages: number): number | null {
    invariant(pages <= this.#pages, 'a record is no longer than the ring')
    const position = this.#headPage % this.#pages
    const skippedPages = position + pages > this.#pages ? this.#pages - position : 0
    const endPage = this.#headPage + skippedPages + pages
    if (endPage - this.#tailPage > this.#pages) return null
    this.#headPage = endPage
    this.#live.push({ sequence, endPage })
    return (endPage - pages) % this.#pages
  }

  holdsUpTo(sequence: number): boolean {
    const oldest = this.#live[0]
    return oldest !== undefined && oldest.sequence <= sequence
  }

  /** The page right behind record `sequence`, where the next one is looked for first. */
  after(sequence: number): number {
    const record = this.#live.find(live => live.sequence === sequence)
    invariant(record !== undefined, 'the journal advances to a record that it holds')
    return record.endPage % this.#pages
  }

  /** Gives the pages of all records up to `sequence` back. Only once a durable checkpoint is behind them. */
  release(sequence: number): void {
    while (this.holdsUpTo(sequence)) this.#tailPage = this.#live.shift()!.endPage
  }
}
