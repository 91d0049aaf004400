/**
 * One run at a time; everybody who asks while it runs shares the next one. So what somebody did before asking
 * is always covered by a run that began afterwards.
 */
export class GroupCommit {
  #run: () => Promise<void>
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null

  constructor(run: () => Promise<void>) {
    this.#run = run
  }

  /** Resolves or rejects with the first run that begins at or after this call. */
  commit(): Promise<void> {
    if (this.#next !== null) return this.#next
    if (this.#running === null) return this.#start()
    const startNext = () => {
      this.#next = null
      return this.#start()
    }
    this.#next = this.#running.then(startNext, startNext)
    return this.#next
  }

  #start(): Promise<void> {
    const run = this.#run()
    this.#running = run
    const ended = () => {
      if (this.#running === run) this.#running = null
    }
    run.then(ended, ended)
    return run
  }
}
