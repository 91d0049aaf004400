interface Maybe {
  readonly value: number
  readonly client: string
  /** It may still take effect later; else it has already, or never will. */
  pending: boolean
}

/** Far more than can change while one read is on its way. */
const PAST_VALUES_MAX = 64
/** What a violation is explained by. */
const EVENTS_MAX = 24

/**
 * What one block may hold, told by the order in which its operations began and ended. Values are numbers that are
 * written once each; 0 is a block that was never written. One write at a time is in flight for a block, reads are not
 * limited. A write whose outcome is unknown may take effect until its client has written through another way in: then
 * the old one is dead (PROTOCOL rule 17), and what comes to light after a later acknowledged write is a violation.
 */
export class BlockHistory {
  #settled = 0
  /** Unknown outcomes, oldest first. */
  #maybe: Maybe[] = []
  #inFlight: number | null = null
  /** What was legal once, for reads that began before `until`. */
  readonly #past: { readonly value: number; readonly until: number }[] = []
  #clock = 0
  readonly #events: string[] = []

  /** The last that happened to it, with the time of day. */
  get events(): readonly string[] {
    return this.#events
  }

  writeBegan(value: number): void {
    this.#inFlight = value
    this.#note(`write ${value}`)
  }

  writeAcknowledged(): void {
    const value = this.#inFlight as number
    this.#inFlight = null
    this.#note(`acknowledged ${value}`)
    this.#settle(value, this.#maybe)
  }

  /** The connection ended, or the answer was an error that promises nothing. */
  writeUnknown(client: string): void {
    const value = this.#inFlight as number
    this.#inFlight = null
    this.#note(`unknown ${value} of ${client}`)
    // A reader may have settled it already.
    if (value !== this.#settled) this.#maybe.push({ value, client, pending: true })
  }

  /** The answer promises that nothing was applied: null, or what shows that something was. */
  writeRefused(): string | null {
    const value = this.#inFlight as number
    this.#inFlight = null
    this.#note(`refused ${value}`)
    return value === this.#settled ? `${value} was read, and then its write refused` : null
  }

  /** The client's first write by a new connection is acknowledged: what came by its old ones is dead. */
  clientReturned(client: string): void {
    for (const maybe of this.#maybe) {
      if (maybe.client !== client) continue
      maybe.pending = false
      this.#note(`${client} is back`)
    }
  }

  /** Give the answer to readEnded(). */
  readBegan(): number {
    return this.#clock
  }

  /** Null when `value` is legal, else what is wrong. */
  readEnded(beganAt: number, value: number): string | null {
    if (value !== this.#settled) this.#note(`read ${value}`)
    const unknown = this.#maybe.map(maybe => maybe.value)
    const current = [this.#settled, ...unknown, ...(this.#inFlight === null ? [] : [this.#inFlight])]
    if (current.includes(value)) {
      if (value !== this.#settled) this.#settle(value, this.#maybe)
      return null
    }
    if (this.#past.some(past => past.value === value && past.until > beganAt)) return null
    return `read ${value}, legal are ${current.join(', ')}`
  }

  #note(event: string): void {
    this.#events.push(`${new Date().toISOString().slice(11, 23)} ${event}`)
    if (this.#events.length > EVENTS_MAX) this.#events.shift()
  }

  /** `value` has taken effect: what came before it and can come no more is past. Later unknown ones stay open. */
  #settle(value: number, unknown: readonly Maybe[]): void {
    this.#clock++
    const at = unknown.findIndex(maybe => maybe.value === value)
    const earlier = at < 0 ? unknown.length : at
    const open = unknown.filter((maybe, i) => maybe.value !== value && (i > earlier || maybe.pending))
    const legal = open.map(maybe => maybe.value)
    const ended = [this.#settled, ...unknown.map(maybe => maybe.value)]
    for (const old of ended) {
      if (old !== value && !legal.includes(old)) this.#past.push({ value: old, until: this.#clock })
    }
    this.#past.splice(0, Math.max(0, this.#past.length - PAST_VALUES_MAX))
    this.#settled = value
    this.#maybe = open
  }
}
