import type { PeerIdentity } from '../peer-network.ts'

/** One connection of another daemon, and what came by it that has not ended. PROTOCOL rule 3. */
export class SenderConnection {
  readonly number: number
  readonly brickUuid: string
  readonly openCounter: number
  readonly incarnation: string
  #inFlight = 0
  #whenEmpty: (() => void)[] = []
  /** One that was replaced while what came by those before it was still being applied leaves that to the next. */
  #before: SenderConnection | null

  constructor(from: PeerIdentity, number: number, before: SenderConnection | null) {
    this.#before = before
    this.number = number
    this.brickUuid = from.brickUuid
    this.openCounter = from.openCounter
    this.incarnation = from.incarnation
  }

  begun(): void {
    this.#inFlight++
  }

  ended(): void {
    if (--this.#inFlight > 0) return
    const waiting = this.#whenEmpty
    if (waiting.length === 0) return
    this.#whenEmpty = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves when nothing that came by it, or by any before it, is being applied. */
  async drained(): Promise<void> {
    await this.#before?.drained()
    this.#before = null
    if (this.#inFlight > 0) await new Promise<void>(resolve => this.#whenEmpty.push(resolve))
  }
}

/** The newest connection of each peer: what comes by an older one is refused. */
export class SenderConnections {
  readonly #newest = new Map<number, SenderConnection>()

  /** Makes this the newest; answers the older one that is to be drained, or 'stale' if this is not newer. */
  open(from: PeerIdentity, number: number): SenderConnection | 'stale' | null {
    const before = this.#newest.get(from.peerNumber)
    if (before !== undefined) {
      // The counter of a new brick in the place of another one begins anew.
      if (from.brickUuid === before.brickUuid && from.openCounter < before.openCounter) return 'stale'
      if (from.incarnation === before.incarnation && number <= before.number) return 'stale'
    }
    this.#newest.set(from.peerNumber, new SenderConnection(from, number, before ?? null))
    return before ?? null
  }

  /** The connection that a request came by, null unless it is the sender's newest. */
  current(from: PeerIdentity, number: number): SenderConnection | null {
    const newest = this.#newest.get(from.peerNumber)
    if (newest === undefined || newest.number !== number) return null
    return newest.incarnation === from.incarnation ? newest : null
  }
}
