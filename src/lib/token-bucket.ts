/** Bounds a rate: what is taken beyond it has to be waited for. Knows no clock; times are milliseconds. */
export class TokenBucket {
  #perSecond: number
  #burst: number
  #level: number
  #filledAtMs: number

  /** `burst` may be taken at once after a pause. */
  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#level = burst
    this.#filledAtMs = nowMs
  }

  /** Takes `amount`, and answers how many milliseconds to wait before using it. */
  take(amount: number, nowMs: number): number {
    const earned = ((nowMs - this.#filledAtMs) * this.#perSecond) / 1000
    this.#level = Math.min(this.#burst, this.#level + Math.max(0, earned)) - amount
    this.#filledAtMs = nowMs
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level * 1000) / this.#perSecond)
  }
}
