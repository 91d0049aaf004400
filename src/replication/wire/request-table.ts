import { invariant } from '../../lib/invariant.ts'
import type { PeerRequest } from '../peer-network.ts'

/** The requests of one link that wait for their reply, by the small number that stands for each on the wire. */
export class RequestTable {
  readonly #requests: (PeerRequest | null)[] = []
  readonly #free: number[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  add(request: PeerRequest): number {
    const id = this.#free.pop() ?? this.#requests.length
    this.#requests[id] = request
    this.#size++
    return id
  }

  /** The request that waits under this number, or null. */
  find(id: number): PeerRequest | null {
    return this.#requests[id] ?? null
  }

  remove(id: number): void {
    invariant(this.find(id) !== null, 'a request that ends was waiting')
    this.#requests[id] = null
    this.#free.push(id)
    this.#size--
  }

  /** Takes all of them out, in no order that means anything. */
  *drain(): Generator<PeerRequest> {
    for (let id = 0; id < this.#requests.length; id++) {
      const request = this.#requests[id] ?? null
      if (request === null) continue
      this.remove(id)
      yield request
    }
  }
}
