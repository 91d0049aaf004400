interface Flushable {
  flush(): void
}

/** Connections with output from outside of a receive pass: each is flushed once, when the present tick ends. */
export class FlushQueue {
  #waiting: Flushable[] = []
  #flushing: Flushable[] = []
  readonly #run = () => {
    const waiting = this.#waiting
    this.#waiting = this.#flushing
    this.#flushing = waiting
    for (const connection of waiting) connection.flush()
    waiting.length = 0
  }

  /** Callers add a connection once until it was flushed. */
  add(connection: Flushable): void {
    if (this.#waiting.length === 0) process.nextTick(this.#run)
    this.#waiting.push(connection)
  }
}
