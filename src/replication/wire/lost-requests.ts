import { type PeerRequest, PeerStatus } from '../peer-network.ts'

/** Requests whose connection has ended, or that found none: told so when the present tick ends, in order. */
export class LostRequests {
  #first: PeerRequest | null = null
  #last: PeerRequest | null = null
  readonly #tell = () => this.#tellAll()

  add(request: PeerRequest): void {
    request.next = null
    if (this.#last === null) {
      this.#first = request
      process.nextTick(this.#tell)
    } else {
      this.#last.next = request
    }
    this.#last = request
  }

  #tellAll(): void {
    let request = this.#first
    this.#first = this.#last = null
    while (request !== null) {
      const following: PeerRequest | null = request.next
      request.next = null
      request.status = PeerStatus.lost
      request.replyBody = null
      request.completion.replied(request)
      request = following
    }
  }
}
