/** How long the event loop keeps looking at its sockets before it goes to sleep. */
const WINDOW_MS = 0.1
/** Input further apart than this is no dialogue: looking out for more would not pay. */
const DIALOGUE_GAP_MS = 0.5
/** Passes without looking out, after a look that saw nothing; doubled each time. */
const REST_PASSES_MIN = 32
const REST_PASSES_MAX = 4096
/** Looks in a row that were worth it until a miss is cheap again. */
const FORGIVEN_AFTER = 32

/**
 * Keeps the event loop awake for a moment after a pass over a connection's input, because on an idle machine
 * falling asleep and being woken costs more than serving a request. Only where it pays: while input follows on
 * input, and ever more rarely when nothing comes within the window.
 */
export class BusyPoll {
  readonly #nowMs: () => number
  readonly #turn = () => this.#look()
  #isLooking = false
  #untilMs = 0
  #heardAtMs = 0
  #resting = 0
  #nextRest = REST_PASSES_MIN
  #hits = 0

  /** `nowMs` is monotonic and exact to microseconds. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** A pass over a connection's input is over and its answers are sent. */
  passEnded(): void {
    if (this.#resting > 0) {
      this.#resting--
      return
    }
    const nowMs = this.#nowMs()
    const gapMs = nowMs - this.#heardAtMs
    this.#heardAtMs = nowMs
    this.#untilMs = nowMs + WINDOW_MS
    if (this.#isLooking) {
      if (++this.#hits >= FORGIVEN_AFTER) this.#nextRest = REST_PASSES_MIN
    } else if (gapMs < DIALOGUE_GAP_MS) {
      this.#isLooking = true
      setImmediate(this.#turn)
    }
  }

  /** A pass is over and what comes next wakes the loop by itself: looking out would only take a thread's CPU. */
  passLeftWaiting(): void {
    this.#untilMs = 0
  }

  // An immediate that is waiting makes the loop poll its sockets without sleeping.
  #look(): void {
    if (this.#nowMs() < this.#untilMs) {
      setImmediate(this.#turn)
      return
    }
    this.#isLooking = false
    if (this.#untilMs === 0) return
    this.#hits = 0
    this.#resting = this.#nextRest
    this.#nextRest = Math.min(this.#nextRest * 2, REST_PASSES_MAX)
  }
}
