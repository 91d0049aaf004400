/** Counts what peers did wrong and why connections ended, by reason. The reasons are constants of the code. */
export class FaultCounters {
  readonly #counts = new Map<string, number>()

  count(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
  }

  get(reason: string): number {
    return this.#counts.get(reason) ?? 0
  }

  entries(): IterableIterator<[reason: string, count: number]> {
    return this.#counts.entries()
  }
}
