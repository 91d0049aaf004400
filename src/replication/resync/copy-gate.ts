import { REGION_BYTES } from '../../store/layout.ts'
import { RegionSet } from './region-set.ts'
import type { JoinGate } from './resync-ports.ts'

/**
 * Which writes of clients a joiner is sent while it is being filled. Until the copy set is known nothing is sent,
 * and what is written joins the set: the members' answers may be older than it.
 */
export class CopyGate implements JoinGate {
  readonly peerNumber: number
  wantsFlush = false
  readonly #written: RegionSet
  #pending: RegionSet | null = null
  readonly #ended: (reason: string) => void

  constructor(peerNumber: number, ranges: readonly number[], ended: (reason: string) => void) {
    this.peerNumber = peerNumber
    this.#written = new RegionSet(ranges)
    this.#ended = ended
  }

  wantsWrite(offsetBytes: number, lengthBytes: number): boolean {
    const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
      if (this.#pending === null) this.#written.add(region)
      else if (this.#pending.covers(region) && !this.#pending.has(region)) return true
    }
    return false
  }

  /** The copy set is known: from now on everything outside it is sent. Whoever copies a region deletes it. */
  collected(set: RegionSet): void {
    for (const region of this.#written.regions(Number.POSITIVE_INFINITY)) set.add(region)
    this.#pending = set
  }

  failed(reason: string): void {
    this.#ended(reason)
  }
}
