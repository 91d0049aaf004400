import type { StreamKey } from './client-key.ts'
import { RESULTS_PER_STREAM_MAX } from './limits.ts'
import type { Outcome } from './messages.ts'

interface Result {
  isOver: boolean
  status: number
  failedAtBytes: number
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
  /** By sequence number, in the order of arrival; the oldest go. */
  readonly #results = new Map<number, Result>()
  #highest = 0
  #forgotten = 0

  constructor(key: StreamKey, number: number, gateway: number, isSettled: boolean) {
    this.key = key
    this.number = number
    this.gateway = gateway
    this.isSettled = isSettled
  }

  /** An operation of this stream is handed to the volume. */
  begin(sequence: number): void {
    this.#inFlight++
    this.#highest = Math.max(this.#highest, sequence)
    this.#results.set(sequence, { isOver: false, status: 0, failedAtBytes: 0 })
    if (this.#results.size > RESULTS_PER_STREAM_MAX) this.#forgetOldest()
  }

  ended(sequence: number, status: number, failedAtBytes: number): void {
    const result = this.#results.get(sequence)
    if (result !== undefined) {
      result.isOver = true
      result.status = status
      result.failedAtBytes = failedAtBytes
    }
    this.#inFlight--
    const waiting = this.#waiting
    this.#waiting = []
    for (const look of waiting) look()
  }

  /** Resolves when nothing of it can have an effect any more, given that nothing new begins. */
  async drained(): Promise<void> {
    while (this.#inFlight > 0) await this.#change()
  }

  /** How these operations ended, once they have. */
  async outcomes(sequences: readonly number[]): Promise<readonly Outcome[]> {
    while (sequences.some(sequence => this.#results.get(sequence)?.isOver === false)) await this.#change()
    return sequences.map(sequence => {
      const result = this.#results.get(sequence)
      if (result !== undefined) return [result.status, result.failedAtBytes]
      return sequence <= this.#forgotten ? 'unknown' : null
    })
  }

  #change(): Promise<void> {
    return new Promise(resolve => void this.#waiting.push(resolve))
  }

  #forgetOldest(): void {
    for (const [sequence, { isOver }] of this.#results) {
      if (!isOver) continue
      this.#results.delete(sequence)
      this.#forgotten = Math.max(this.#forgotten, sequence)
      return
    }
  }
}
