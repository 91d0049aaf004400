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
    this.#fill(nowMs)
    this.#level -= amount
    return this.#msUntil(0)
  }

  /**
   * How many milliseconds until `amount` may be taken; takes nothing. More than the burst may be taken as soon as the
   * bucket is full, and is paid for by whoever comes next.
   */
  waitMs(amount: number, nowMs: number): number {
    this.#fill(nowMs)
    return this.#msUntil(Math.min(amount, this.#burst))
  }

  /** From now on this rate; what has been earned or is owed stays, up to the new burst. */
  change(perSecond: number, burst: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#perSecond = perSecond
    this.#burst = burst
    this.#level = Math.min(burst, this.#level)
  }

  #fill(nowMs: number): void {
    const earned = ((nowMs - this.#filledAtMs) * this.#perSecond) / 1000
    this.#level = Math.min(this.#burst, this.#level + Math.max(0, earned))
    this.#filledAtMs = nowMs
  }

  #msUntil(level: number): number {
    return this.#level >= level ? 0 : Math.ceil(((level - this.#level) * 1000) / this.#perSecond)
  }
}
