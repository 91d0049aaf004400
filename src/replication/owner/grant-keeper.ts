import { BlockStatus } from '../../block/block-status.ts'
import type { RenewAnswer, RenewedVolume } from '../messages.ts'
import type { Timer, Timers } from '../timers.ts'
import { RENEW_EVERY_MS } from './grants.ts'
import type { Orders } from './orders.ts'
import type { Ownership } from './ownership.ts'

/** Asks every brick for grants of all volumes owned here at once: one message per pair of daemons. PROTOCOL rule 4. */
export class GrantKeeper {
  readonly #orders: Orders
  readonly #timers: Timers
  readonly #owned: () => Iterable<Ownership>
  readonly #aboveTarget: (activeSegments: number) => void
  #timer: Timer | null = null

  /** `aboveTarget`: a brick that was asked has so many active segments, more than it wants. PROTOCOL rule 11. */
  constructor(
    orders: Orders,
    timers: Timers,
    owned: () => Iterable<Ownership>,
    aboveTarget: (activeSegments: number) => void,
  ) {
    this.#orders = orders
    this.#timers = timers
    this.#owned = owned
    this.#aboveTarget = aboveTarget
    this.#later()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #later(): void {
    this.#timer = this.#timers.after(RENEW_EVERY_MS, () => {
      this.#ask()
      this.#later()
    })
  }

  #ask(): void {
    const byPeer = new Map<number, Ownership[]>()
    for (const owned of this.#owned()) {
      for (const { peerNumber, reachable } of owned.fencedMembers) {
        if (!reachable) continue
        const volumes = byPeer.get(peerNumber)
        if (volumes === undefined) byPeer.set(peerNumber, [owned])
        else volumes.push(owned)
      }
    }
    for (const [peer, volumes] of byPeer) void this.#askOne(peer, volumes)
  }

  async #askOne(peer: number, owned: readonly Ownership[]): Promise<void> {
    const sentAtMs = this.#timers.bootMs()
    const volumes: RenewedVolume[] = owned.map(({ uuid, epoch }) => ({ uuid, epoch }))
    const terms = { volumeUuid: '', epoch: 0, setVersion: 0 }
    const { status, body } = await this.#orders.ask(peer, terms, { what: 'renew', volumes })
    if (status !== BlockStatus.ok) return
    const { refused: refusedVolumes, activeSegments } = body as RenewAnswer
    const refused = new Map(refusedVolumes.map(({ uuid, epoch }) => [uuid, epoch]))
    for (const ownership of owned) {
      if (ownership.ended) continue
      const known = refused.get(ownership.uuid)
      if (known === undefined) ownership.granted(ownership.member(peer), sentAtMs)
      else if (known > ownership.epoch) ownership.superseded()
      if (!ownership.ended) ownership.extents.refreshGrants()
    }
    if (activeSegments !== undefined) this.#aboveTarget(activeSegments)
  }
}
