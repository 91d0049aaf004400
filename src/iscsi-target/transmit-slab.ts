import { SlabOutput } from '../net/slab-output.ts'
import { TRANSMIT_SLAB_BYTES } from './limits.ts'
import { BHS_BYTES, dataSegmentBytesOf, paddedBytes } from './wire/bhs.ts'
import { DIGEST_BYTES, putDigest } from './wire/digest.ts'

/** Largest data segment that fits in a slab with its header and digests. */
export const SLAB_SEGMENT_BYTES_MAX = TRANSMIT_SLAB_BYTES
export const SLAB_ROOM_BYTES = TRANSMIT_SLAB_BYTES + BHS_BYTES + 2 * DIGEST_BYTES

/** An output that gathers PDUs, with their padding and digests. */
export class Transmitter extends SlabOutput {
  headerDigest = false
  dataDigest = false

  /** Makes room for a PDU with up to `dataLength` bytes of data; answers where its header goes in `slab`. */
  begin(dataLength: number): number {
    return this.reserve(this.#pduBytes(dataLength))
  }

  /** Where the data of the PDU begun at `at` goes. */
  dataAt(at: number): number {
    return at + BHS_BYTES + (this.headerDigest ? DIGEST_BYTES : 0)
  }

  /** The PDU at `at` (the last begin()) is written: header and data. Adds padding and digests. */
  end(at: number): void {
    const slab = this.slab
    const dataLength = dataSegmentBytesOf(slab, at)
    const dataAt = this.dataAt(at)
    const dataEnd = dataAt + dataLength
    const paddedEnd = dataAt + paddedBytes(dataLength)
    for (let i = dataEnd; i < paddedEnd; i++) slab[i] = 0
    if (this.headerDigest) putDigest(slab, at + BHS_BYTES, at, BHS_BYTES)
    if (this.dataDigest && dataLength > 0) putDigest(slab, paddedEnd, dataAt, paddedEnd - dataAt)
    this.commit(at + this.#pduBytes(dataLength))
  }

  #pduBytes(dataLength: number): number {
    return (
      BHS_BYTES +
      (this.headerDigest ? DIGEST_BYTES : 0) +
      paddedBytes(dataLength) +
      (this.dataDigest && dataLength > 0 ? DIGEST_BYTES : 0)
    )
  }
}
