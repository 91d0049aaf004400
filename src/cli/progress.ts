import { formatSize } from '../lib/sizes.ts'
import type { Terminal } from './terminal.ts'

const REDRAW_MS = 100
/** Into a file or a pipe a line now and then is enough. */
const LINE_MS = 10_000
const BAR_COLUMNS = 30

/** Shows how far something is: a bar on a terminal, rare lines elsewhere. Writes to standard error. */
export class Progress {
  readonly #stderr: Terminal['stderr']
  readonly #label: string
  readonly #startedAtMs: number
  #shownAtMs: number

  constructor(stderr: Terminal['stderr'], label: string, nowMs: number = Date.now()) {
    this.#stderr = stderr
    this.#label = label
    this.#startedAtMs = nowMs
    this.#shownAtMs = nowMs
  }

  /** `totalBytes` of 0 means that nobody knows. */
  show(doneBytes: number, totalBytes: number, nowMs: number = Date.now()): void {
    const isTerminal = this.#stderr.isTTY === true
    if (nowMs - this.#shownAtMs < (isTerminal ? REDRAW_MS : LINE_MS)) return
    this.#shownAtMs = nowMs
    const text = this.#text(doneBytes, totalBytes, nowMs)
    this.#stderr.write(isTerminal ? `\r\x1b[K${text}` : `${text}\n`)
  }

  /** Takes the bar away; what happened is said by the command itself. */
  end(): void {
    if (this.#stderr.isTTY === true) this.#stderr.write('\r\x1b[K')
  }

  #text(doneBytes: number, totalBytes: number, nowMs: number): string {
    const seconds = Math.max(1e-3, (nowMs - this.#startedAtMs) / 1000)
    const rate = `${formatSize(Math.round(doneBytes / seconds))}/s`
    if (totalBytes === 0) return `${this.#label} ${formatSize(doneBytes)} ${rate}`
    const fraction = Math.min(1, doneBytes / totalBytes)
    const filled = Math.round(fraction * BAR_COLUMNS)
    const bar = '#'.repeat(filled) + '.'.repeat(BAR_COLUMNS - filled)
    const percent = `${Math.floor(fraction * 100)}`.padStart(3)
    return `${this.#label} [${bar}] ${percent}% ${formatSize(doneBytes)} of ${formatSize(totalBytes)} ${rate}`
  }
}
