interface Waiting<Q, A> {
  readonly question: Q
  readonly resolve: (answer: A) => void
  readonly reject: (error: Error) => void
}

/**
 * Calls that are carried out in groups: what is asked for in one turn goes together, and so does what gathers while as
 * many groups as may be are under way.
 */
export class WaitingCalls<Q, A> {
  readonly #groupsMax: number
  readonly #choose: (waiting: readonly Q[]) => readonly boolean[]
  readonly #carryOut: (group: readonly Q[]) => Promise<readonly (A | Error)[]>
  #waiting: Waiting<Q, A>[] = []
  #groups = 0
  #isPlanned = false

  /**
   * `choose`: which of those that wait make the next group, the first among them. `carryOut`: an answer for each, or
   * why there is none.
   */
  constructor(
    groupsMax: number,
    choose: (waiting: readonly Q[]) => readonly boolean[],
    carryOut: (group: readonly Q[]) => Promise<readonly (A | Error)[]>,
  ) {
    this.#groupsMax = groupsMax
    this.#choose = choose
    this.#carryOut = carryOut
  }

  call(question: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject })
      this.#plan()
    })
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    queueMicrotask(() => {
      this.#isPlanned = false
      while (this.#groups < this.#groupsMax && this.#waiting.length > 0) void this.#sendNext()
    })
  }

  async #sendNext(): Promise<void> {
    const isChosen = this.#choose(this.#waiting.map(({ question }) => question))
    const group = this.#waiting.filter((_, at) => isChosen[at])
    this.#waiting = this.#waiting.filter((_, at) => !isChosen[at])
    this.#groups++
    try {
      const answers = await this.#carryOut(group.map(({ question }) => question))
      for (const [at, { resolve, reject }] of group.entries()) {
        const answer = answers[at]!
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      }
    } catch (error) {
      for (const { reject } of group) reject(error as Error)
    }
    this.#groups--
    this.#plan()
  }
}
