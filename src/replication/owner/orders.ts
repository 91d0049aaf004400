import type { ReplicaOrder } from '../messages.ts'
import { type PeerNetwork, PeerRequest, PeerRequestKind, PeerStatus } from '../peer-network.ts'
import type { Replica } from '../replica/replica.ts'
import type { OrderOutcome } from '../replica/replica-orders.ts'
import type { Timer, Timers } from '../timers.ts'

/** Longer than a fence has to wait for grants. */
export const ORDER_TIMEOUT_MS = 5_000

/** Whose volume an order is about, and by which authority. */
export interface OrderTerms {
  readonly volumeUuid: string
  readonly epoch: number
  readonly setVersion: number
}

/** Gives orders to replicas, to the one in this process and to those behind links alike. */
export class Orders {
  readonly #network: PeerNetwork
  readonly #replica: Replica
  readonly #timers: Timers

  constructor(network: PeerNetwork, replica: Replica, timers: Timers) {
    this.#network = network
    this.#replica = replica
    this.#timers = timers
  }

  /** Never rejects: an answer that does not come in time is `lost`, and what became of the order is unknown. */
  ask(
    peerNumber: number,
    terms: OrderTerms,
    order: ReplicaOrder,
    timeoutMs = ORDER_TIMEOUT_MS,
  ): Promise<OrderOutcome> {
    const { volumeUuid, epoch, setVersion } = terms
    if (peerNumber === this.#network.self.peerNumber) {
      return this.#replica.order(volumeUuid, epoch, setVersion, order)
    }
    return new Promise(resolve => {
      let timer: Timer | null = null
      const request = new PeerRequest({
        replied: ({ status, replyBody }) => {
          timer?.cancel()
          resolve({ status, body: replyBody })
        },
      })
      request.kind = PeerRequestKind.control
      request.volume = volumeUuid
      request.epoch = epoch
      request.setVersion = setVersion
      request.body = order
      timer = this.#timers.after(timeoutMs, () => resolve({ status: PeerStatus.lost, body: null }))
      this.#network.link(peerNumber).send(request)
    })
  }
}
