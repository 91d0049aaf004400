import type { StreamKey } from './client-key.ts'
import { RESULTS_PER_STREAM_MAX } from './limits.ts'
import type { Outcome } from './messages.ts'

const UNDER_WAY = 255
/** Room for results at first: thousands of streams write little. */
const RESULTS_AT_FIRST = 16

/** How the last operations of a stream ended, by sequence number. Made when the first one comes over a wire. */
class Results {
  #sequences = new Float64Array(RESULTS_AT_FIRST)
  #statuses = new Uint8Array(RESULTS_AT_FIRST)
  #failedAt = new Float64Array(RESULTS_AT_FIRST)
  /** The highest sequence number that is remembered no more. */
  #forgotten = 0

  begin(sequence: number): void {
    while (this.#sequences[this.#at(sequence)] !== 0 && this.#sequences.length < RESULTS_PER_STREAM_MAX)
      this.#grow()
    const at = this.#at(sequence)
    this.#forgotten = Math.max(this.#forgotten, this.#sequences[at]!)
    this.#sequences[at] = sequence
    this.#statuses[at] = UNDER_WAY
  }

  ended(sequence: number, status: number, failedAtBytes: number): void {
    const at = this.#at(sequence)
    if (this.#sequences[at] !== sequence) return
    this.#statuses[at] = status
    this.#failedAt[at] = failedAtBytes
  }

  isUnderWay(sequence: number): boolean {
    const at = this.#at(sequence)
    return this.#sequences[at] === sequence && this.#statuses[at] === UNDER_WAY
  }

  outcome(sequence: number): Outcome {
    const at = this.#at(sequence)
    if (this.#sequences[at] === sequence) return [this.#statuses[at]!, this.#failedAt[at]!]
    return sequence <= this.#forgotten ? 'unknown' : null
  }

  #at(sequence: number): number {
    return sequence % this.#sequences.length
  }

  #grow(): void {
    const [sequences, statuses, failedAt] = [this.#sequences, this.#statuses, this.#failedAt]
    this.#sequences = new Float64Array(sequences.length * 2)
    this.#statuses = new Uint8Array(sequences.length * 2)
    this.#failedAt = new Float64Array(sequences.length * 2)
    for (const [before, sequence] of sequences.entries()) {
      if (sequence === 0) continue
      const at = this.#at(sequence)
      this.#sequences[at] = sequence
      this.#statuses[at] = statuses[before]!
      this.#failedAt[at] = failedAt[before]!
    }
  }
}

/** A client's stream at the owner: whose operations with this number are carried out, until it is dead. */
export class OwnerStream {
  readonly key: StreamKey
  readonly number: number
  /** The small number of the peer that it comes by. */
  readonly gateway: number
  isDead = false
  /** What is in doubt since a takeover has been repeated. */
  isSettled: boolean
  #inFlight = 0
  #waiting: (() => void)[] = []
  #results: Results | null = null

  constructor(key: StreamKey, number: number, gateway: number, isSettled: boolean) {
    this.key = key
    this.number = number
    this.gateway = gateway
    this.isSettled = isSettled
  }

  /** An operation of this stream is handed to the volume. */
  enter(): void {
    this.#inFlight++
  }

  leave(): void {
    this.#inFlight--
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const look of waiting) look()
  }

  /** As enter(), and how it ends is remembered. */
  begin(sequence: number): void {
    this.enter()
    this.#results ??= new Results()
    this.#results.begin(sequence)
  }

  ended(sequence: number, status: number, failedAtBytes: number): void {
    this.#results!.ended(sequence, status, failedAtBytes)
    this.leave()
  }

  /** Resolves when nothing of it can have an effect any more, given that nothing new begins. */
  async drained(): Promise<void> {
    while (this.#inFlight > 0) await this.#change()
  }

  /** How these operations ended, once they have. */
  async outcomes(sequences: readonly number[]): Promise<readonly Outcome[]> {
    const results = this.#results
    if (results === null) return sequences.map(() => null)
    while (sequences.some(sequence => results.isUnderWay(sequence))) await this.#change()
    return sequences.map(sequence => results.outcome(sequence))
  }

  #change(): Promise<void> {
    return new Promise(resolve => void this.#waiting.push(resolve))
  }
}
