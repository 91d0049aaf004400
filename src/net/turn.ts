/**
 * What one connection may move, in and out, before all others get their turn. About a third of a millisecond of work;
 * giving way costs a few microseconds.
 */
export const TURN_BYTES = 2 ** 20
/** The same where nobody else was at work of late: what gives way for nobody pays for it a few per cent of 1 MiB. */
export const LONE_TURN_BYTES = 4 * TURN_BYTES
/** What each operation costs besides, told as bytes: a short one takes as long as so much more of a long one. */
export const OPERATION_TURN_BYTES = 16 * 1024

/** Connections whose turn is over: they go on when the event loop has looked at all sockets. */
export class TurnQueue {
  #waiting: Turn[] = []
  #running: Turn[] = []
  #atWork: Turn | null = null
  #changes = 0
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

  /** Says who is at work, and answers how often that has been somebody else than before. */
  changesWith(turn: Turn): number {
    if (this.#atWork !== turn) {
      this.#atWork = turn
      this.#changes++
    }
    return this.#changes
  }
}

/** Who has turns. */
export interface TurnTaker {
  /** Received and answered so far; only rises. */
  readonly movedBytes: number
  /** So far; only rises. */
  readonly operations: number
  /** Goes on with what was left when the turn was over. */
  turnBegins(): void
}

/**
 * The turn of one connection: over when it has moved its share, until the others have had theirs. The share is smaller,
 * and operations count as well, where somebody else was at work since the turn before it began.
 */
export class Turn {
  readonly #queue: TurnQueue
  readonly #taker: TurnTaker
  #fromBytes = 0
  #fromOperations = 0
  #fromChanges = 0
  #hadCompany = false
  #isOver = false

  constructor(queue: TurnQueue, taker: TurnTaker) {
    this.#queue = queue
    this.#taker = taker
  }

  /** Whoever hears that it is over stops; turnBegins() follows. */
  isOver(): boolean {
    if (this.#isOver) return true
    const isAlone = !this.#hadCompany && this.#queue.changesWith(this) === this.#fromChanges
    const { movedBytes, operations } = this.#taker
    const moved = movedBytes - this.#fromBytes
    const counted = isAlone ? 0 : (operations - this.#fromOperations) * OPERATION_TURN_BYTES
    if (moved + counted < (isAlone ? LONE_TURN_BYTES : TURN_BYTES)) return false
    this.#isOver = true
    this.#queue.add(this)
    return true
  }

  /** All that had come is done: whatever comes next, the loop looks at the others before. */
  passEnded(): void {
    if (!this.#isOver) this.#restart()
  }

  begin(): void {
    this.#isOver = false
    this.#restart()
    this.#taker.turnBegins()
  }

  #restart(): void {
    this.#fromBytes = this.#taker.movedBytes
    this.#fromOperations = this.#taker.operations
    const changes = this.#queue.changesWith(this)
    this.#hadCompany = changes !== this.#fromChanges
    this.#fromChanges = changes
  }
}
