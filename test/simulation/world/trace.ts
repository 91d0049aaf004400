import type { EventLoop } from './event-loop.ts'

const KEPT_LINES = 4000

/** What happened, for a person who replays a seed. Costs nothing unless it is asked for. */
export class Trace {
  readonly enabled: boolean
  readonly #loop: EventLoop
  readonly #lines: string[] = []
  readonly #print: ((line: string) => void) | null

  constructor(loop: EventLoop, print: ((line: string) => void) | null) {
    this.#loop = loop
    this.#print = print
    this.enabled = print !== null
  }

  say(who: string, what: string): void {
    const line = `${this.#loop.nowMs.toFixed(3).padStart(11)} ${who.padEnd(10)} ${what}`
    this.#print?.(line)
    if (this.#lines.length >= KEPT_LINES) this.#lines.splice(0, KEPT_LINES / 2)
    this.#lines.push(line)
  }

  /** The newest lines. */
  tail(count: number): string[] {
    return this.#lines.slice(-count)
  }
}
