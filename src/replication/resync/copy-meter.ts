/** How far a copy has come, and when it will have ended. Times are milliseconds of any one clock. */
export class CopyMeter {
  regionsTotal = 0
  regionsDone = 0
  copiedBytes = 0
  #startedMs: number

  constructor(nowMs: number) {
    this.#startedMs = nowMs
  }

  /** The copy set is known. */
  begin(regionsTotal: number, nowMs: number): void {
    this.regionsTotal = regionsTotal
    this.#startedMs = nowMs
  }

  bytesPerSecond(nowMs: number): number {
    const elapsedMs = nowMs - this.#startedMs
    return elapsedMs > 0 ? (this.copiedBytes * 1000) / elapsedMs : 0
  }

  /** As if the rest went as the part before; null while nothing is done. */
  etaMs(nowMs: number): number | null {
    if (this.regionsDone === 0) return null
    return ((nowMs - this.#startedMs) * (this.regionsTotal - this.regionsDone)) / this.regionsDone
  }
}
