/**
 * What one connection may move, in and out, before all others get their turn. About a third of a millisecond of work;
 * giving way costs a few microseconds.
 */
export const TURN_BYTES = 2 ** 20

/** Connections whose turn is over: they go on when the event loop has looked at all sockets. */
export class TurnQueue {
  #waiting: Turn[] = []
  #running: Turn[] = []
  readonly #run = () => {
    const turns = this.#waiting
    this.#waiting = this.#running
    this.#running = turns
    for (const turn of turns) turn.begin()
    turns.length = 0
  }

  /** Callers add a turn once until it has begun again. */
  add(turn: Turn): void {
    if (this.#waiting.length === 0) setImmediate(this.#run)
    this.#waiting.push(turn)
  }
}

/** Who has turns. */
export interface TurnTaker {
  /** Received and answered so far; only rises. */
  readonly movedBytes: number
  /** Goes on with what was left when the turn was over. */
  turnBegins(): void
}

/** The turn of one connection: over when it has moved its share, until the others have had theirs. */
export class Turn {
  readonly #queue: TurnQueue
  readonly #taker: TurnTaker
  #fromBytes = 0
  #isOver = false

  constructor(queue: TurnQueue, taker: TurnTaker) {
    this.#queue = queue
    this.#taker = taker
  }

  /** Whoever hears that it is over stops; turnBegins() follows. */
  isOver(): boolean {
    if (this.#isOver) return true
    if (this.#taker.movedBytes - this.#fromBytes < TURN_BYTES) return false
    this.#isOver = true
    this.#queue.add(this)
    return true
  }

  begin(): void {
    this.#fromBytes = this.#taker.movedBytes
    this.#isOver = false
    this.#taker.turnBegins()
  }
}
