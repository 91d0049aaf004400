import type { PduChannel, ReceivedPdu } from './pdu-channel.ts'

const PATIENCE_MS = 10_000

interface Waiter {
  wants(pdu: ReceivedPdu): boolean
  take(pdu: ReceivedPdu): void
}

/** PDUs that nobody has asked for yet, and those who wait for one. */
export class Inbox {
  readonly #channel: PduChannel
  readonly #pdus: ReceivedPdu[] = []
  readonly #waiters: Waiter[] = []

  constructor(channel: PduChannel) {
    this.#channel = channel
  }

  put(pdu: ReceivedPdu): void {
    const index = this.#waiters.findIndex(waiter => waiter.wants(pdu))
    if (index < 0) this.#pdus.push(pdu)
    else this.#waiters.splice(index, 1)[0].take(pdu)
  }

  /** What has come and was not asked for. */
  get unclaimed(): readonly ReceivedPdu[] {
    return this.#pdus
  }

  /**
   * The first PDU that `wants` accepts, whether it is there or is still to come. Rejects when the connection
   * closes before, or after PATIENCE_MS.
   */
  async next(wants: (pdu: ReceivedPdu) => boolean, what: string): Promise<ReceivedPdu> {
    const index = this.#pdus.findIndex(wants)
    if (index >= 0) return this.#pdus.splice(index, 1)[0]
    let timer: NodeJS.Timeout | undefined
    const waiter: Waiter = { wants, take: () => {} }
    const arrival = new Promise<ReceivedPdu>(take => {
      waiter.take = take
    })
    this.#waiters.push(waiter)
    const failure = new Promise<never>((_, reject) => {
      const fail = (why: string) =>
        reject(this.#channel.fault ?? new Error(`${why} while waiting for ${what}`))
      timer = setTimeout(() => fail('time is up'), PATIENCE_MS)
      void this.#channel.closed.then(() => fail('the connection closed'))
    })
    try {
      return await Promise.race([arrival, failure])
    } finally {
      clearTimeout(timer)
      const left = this.#waiters.indexOf(waiter)
      if (left >= 0) this.#waiters.splice(left, 1)
    }
  }
}
