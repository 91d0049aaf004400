/** Counts what is under way, so that somebody may wait for what had begun before, and for nothing later. */
export class InFlight {
  readonly #counts: [number, number] = [0, 0]
  #now: 0 | 1 = 0
  #waiting: Promise<void> | null = null
  #drained: (() => void) | null = null

  /** What it answers goes to end(). */
  begin(): 0 | 1 {
    this.#counts[this.#now]++
    return this.#now
  }

  end(began: 0 | 1): void {
    this.#counts[began]--
    if (began !== this.#now && this.#counts[began] === 0) this.#drained?.()
  }

  /** Resolves when everything that had begun by now has ended. */
  async begunHaveEnded(): Promise<void> {
    while (this.#waiting !== null) await this.#waiting
    const before = this.#now
    this.#now = before === 0 ? 1 : 0
    if (this.#counts[before] === 0) return
    this.#waiting = new Promise(resolve => {
      this.#drained = () => {
        this.#drained = null
        this.#waiting = null
        resolve()
      }
    })
    await this.#waiting
  }
}
