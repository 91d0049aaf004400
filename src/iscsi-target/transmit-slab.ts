import { invariant } from '../lib/invariant.ts'
import { TRANSMIT_SLAB_BYTES } from './limits.ts'
import { BHS_BYTES, dataSegmentBytesOf, paddedBytes } from './wire/bhs.ts'
import { DIGEST_BYTES, putDigest } from './wire/digest.ts'

/** Largest data segment that fits in a slab with its header and digests. */
export const SLAB_SEGMENT_BYTES_MAX = TRANSMIT_SLAB_BYTES
const SLAB_ROOM_BYTES = TRANSMIT_SLAB_BYTES + BHS_BYTES + 2 * DIGEST_BYTES

/** Output slabs of all connections: the few that are not in use are kept. */
export class SlabPool {
  readonly #free: Buffer[] = []
  readonly #keptMax: number

  constructor(keptMax: number) {
    this.#keptMax = keptMax
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_ROOM_BYTES)
  }

  give(slab: Buffer): void {
    if (this.#free.length < this.#keptMax) this.#free.push(slab)
  }
}

/** A socket's write side. */
export interface ByteOutlet {
  /** True: the bytes are gone and may be overwritten. False: they must stay until Transmitter.taken() is called. */
  write(bytes: Buffer): boolean
}

const NO_SLAB = Buffer.alloc(0)

/**
 * Gathers the PDUs of one pass in a slab, so that a pass costs one write. Knows no socket. While the socket
 * has not taken one write, what follows is gathered for the next.
 */
export class Transmitter {
  headerDigest = false
  dataDigest = false
  /** Where PDUs are being written; changes with begin() and flush(). */
  slab: Buffer = NO_SLAB
  readonly #pool: SlabPool
  readonly #outlet: ByteOutlet
  #fill = 0
  #sending: Buffer | null = null
  #sendingBytes = 0
  readonly #waiting: Buffer[] = []
  readonly #waitingBytes: number[] = []
  #waitingTotal = 0

  constructor(pool: SlabPool, outlet: ByteOutlet) {
    this.#pool = pool
    this.#outlet = outlet
  }

  /** Written here and not taken by the socket yet. */
  get pendingBytes(): number {
    return this.#fill + this.#waitingTotal + this.#sendingBytes
  }

  /** flush() would hand something to the socket. */
  get canFlush(): boolean {
    return this.#fill > 0 && this.#sending === null
  }

  /** Makes room for a PDU with up to `dataLength` bytes of data; answers where its header goes in `slab`. */
  begin(dataLength: number): number {
    const lengthBytes = this.#pduBytes(dataLength)
    if (this.#fill + lengthBytes > this.slab.length) {
      invariant(lengthBytes <= SLAB_ROOM_BYTES, 'a PDU fits in a transmit slab')
      this.#rotate()
      this.slab = this.#pool.take()
    }
    return this.#fill
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
    this.#fill = at + this.#pduBytes(dataLength)
  }

  /** Hands what was gathered to the socket, unless that has not taken the last write. */
  flush(): void {
    if (!this.canFlush) return
    const slab = this.slab
    const lengthBytes = this.#fill
    this.#fill = 0
    this.slab = NO_SLAB
    this.#send(slab, lengthBytes)
  }

  /** The socket took the write that it had kept. */
  taken(): void {
    if (this.#sending !== null) this.#pool.give(this.#sending)
    this.#sending = null
    this.#sendingBytes = 0
    while (this.#sending === null && this.#waiting.length > 0) {
      const slab = this.#waiting.shift()!
      const lengthBytes = this.#waitingBytes.shift()!
      this.#waitingTotal -= lengthBytes
      this.#send(slab, lengthBytes)
    }
    this.flush()
  }

  /** Gives the slabs back that no write of the socket refers to. */
  close(): void {
    if (this.slab !== NO_SLAB) this.#pool.give(this.slab)
    for (const slab of this.#waiting) this.#pool.give(slab)
    this.slab = NO_SLAB
    this.#waiting.length = 0
    this.#waitingBytes.length = 0
    this.#fill = 0
    this.#waitingTotal = 0
    this.#sending = null
    this.#sendingBytes = 0
  }

  #pduBytes(dataLength: number): number {
    return (
      BHS_BYTES +
      (this.headerDigest ? DIGEST_BYTES : 0) +
      paddedBytes(dataLength) +
      (this.dataDigest && dataLength > 0 ? DIGEST_BYTES : 0)
    )
  }

  /** The slab is full: send it, or queue it behind the write that is under way. */
  #rotate(): void {
    if (this.#fill === 0) {
      if (this.slab !== NO_SLAB) this.#pool.give(this.slab)
    } else if (this.#sending === null) {
      this.flush()
    } else {
      this.#waiting.push(this.slab)
      this.#waitingBytes.push(this.#fill)
      this.#waitingTotal += this.#fill
    }
    this.#fill = 0
    this.slab = NO_SLAB
  }

  #send(slab: Buffer, lengthBytes: number): void {
    if (this.#outlet.write(slab.subarray(0, lengthBytes))) {
      this.#pool.give(slab)
    } else {
      this.#sending = slab
      this.#sendingBytes = lengthBytes
    }
  }
}
