export interface TurnItem {
  turn(): void
}

/**
 * Batches in a row that begin when a tick ends. Then one waits for the event loop to go round, so that peers who
 * only talk to each other leave room for sockets and timers.
 */
const TICKS_IN_A_ROW_MAX = 64

/** Whatever is added during one turn of the event loop is done together a little later, in order. */
export class TurnQueue {
  #waiting: TurnItem[] = []
  #running: TurnItem[] = []
  #ticksInARow = 0
  #isRound = true
  readonly #run = () => this.#runAll()
  readonly #cameRound = () => {
    this.#isRound = true
    this.#ticksInARow = 0
  }

  add(item: TurnItem): void {
    if (this.#waiting.length === 0) this.#schedule()
    this.#waiting.push(item)
  }

  #schedule(): void {
    if (++this.#ticksInARow > TICKS_IN_A_ROW_MAX) {
      setImmediate(this.#run)
      return
    }
    process.nextTick(this.#run)
    if (!this.#isRound) return
    this.#isRound = false
    setImmediate(this.#cameRound)
  }

  #runAll(): void {
    const items = this.#waiting
    this.#waiting = this.#running
    this.#running = items
    for (const item of items) item.turn()
    items.length = 0
  }
}
