import { encodeValue, keys, type RegistrationValue } from '../../../src/control/layout.ts'
import type { SimLease } from '../cluster/sim-lease.ts'
import type { DaemonParts } from '../cluster/sim-peer.ts'

const LOOK_EVERY_MS = 400
const CAPACITY_BYTES = 2 ** 40

/** Says that a peer is up, under its lease: whoever plans moves sends nothing to one that does not. */
export class SimRegistration {
  readonly #parts: DaemonParts
  readonly #lease: SimLease
  /** That it was written under last. */
  #under: bigint | null = null

  constructor(parts: DaemonParts, lease: SimLease) {
    this.#parts = parts
    this.#lease = lease
  }

  begin(): void {
    void this.#look()
  }

  async #look(): Promise<void> {
    const { etcd, peer, process } = this.#parts
    const lease = this.#lease.current()
    if (lease !== null && lease !== this.#under) {
      try {
        const key = keys.registration(peer.peerId)
        const value = encodeValue('registration', this.#registration())
        await etcd.transact({ compare: [], success: [{ do: 'put', key, value, lease }] })
        this.#under = lease
      } catch {
        // Written again when it is looked at the next time.
      }
    }
    process.after(LOOK_EVERY_MS, () => void this.#look())
  }

  #registration(): RegistrationValue {
    const { peer, node, brick } = this.#parts
    const { incarnation, bootId } = node.self
    return {
      number: peer.number,
      incarnation,
      bootId,
      brick: brick.uuid,
      openCounter: brick.openCounter,
      capacityBytes: CAPACITY_BYTES,
      usedBytes: 0,
      peerAddress: '',
      portals: [],
      nbd: [],
      formats: { brick: 1, wire: [1, 1] },
      startedAt: '',
    }
  }
}
