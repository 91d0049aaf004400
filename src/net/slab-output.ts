import { invariant } from '../lib/invariant.ts'

/** Whoever takes a buffer back when no write of the socket refers to it any more. */
export interface BufferOwner {
  give(buffer: Buffer): void
}

/** So much of a pass's answers is sent ahead of the rest: 16 reads of 4 KiB, half of a deep queue. */
export const EARLY_SEND_BYTES = 64 * 1024
/** Longer messages are not sent early: one write of several costs less, and the peer has enough to do. */
const EARLY_MESSAGE_BYTES_MAX = 8 * 1024

/** Output slabs of all connections, of one size: the few that are not in use are kept. */
export class SlabPool implements BufferOwner {
  readonly slabBytes: number
  readonly earlySendBytes: number
  /** Whose slab was sent last. */
  lastSender: SlabOutput | null = null
  readonly #free: Buffer[] = []
  readonly #keptMax: number

  /** `earlySendBytes`: when short messages are sent before their pass is over; never, without it. */
  constructor(slabBytes: number, keptMax: number, earlySendBytes = Number.POSITIVE_INFINITY) {
    this.slabBytes = slabBytes
    this.earlySendBytes = earlySendBytes
    this.#keptMax = keptMax
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.slabBytes)
  }

  give(slab: Buffer): void {
    if (this.#free.length < this.#keptMax) this.#free.push(slab)
  }
}

/** A socket's write side. */
export interface ByteOutlet {
  /**
   * Sends `bytes` and, in the same system call, `behind` where there is one. True: both are gone and may be
   * overwritten. False: they must stay until SlabOutput.taken() is called.
   */
  write(bytes: Buffer, behind: Buffer | null): boolean
}

const NO_SLAB = Buffer.alloc(0)

/**
 * Gathers the messages of one pass in a slab, so that a pass costs one write. Knows no socket. While the socket
 * has not taken one write, what follows is gathered for the next.
 */
export class SlabOutput {
  /** Where messages are being written; changes with reserve(), append() and flush(). */
  slab: Buffer = NO_SLAB
  /** Of all messages so far. */
  gatheredBytes = 0
  readonly #pool: SlabPool
  readonly #outlet: ByteOutlet
  #fill = 0
  #sending: Buffer | null = null
  /** What goes before it in the same write. */
  #sendingSlab: Buffer | null = null
  #sendingOwner: BufferOwner | null = null
  #sendingBytes = 0
  readonly #waiting: Buffer[] = []
  readonly #waitingOwners: BufferOwner[] = []
  readonly #waitingFrom: number[] = []
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

  /** Makes room for a message of up to `lengthBytes`, at most a slab; answers where it goes in `slab`. */
  reserve(lengthBytes: number): number {
    if (this.#fill + lengthBytes > this.slab.length) {
      invariant(lengthBytes <= this.#pool.slabBytes, 'a message fits in a transmit slab')
      this.#rotate()
      this.slab = this.#pool.take()
    }
    return this.#fill
  }

  /**
   * The message reserved for last is written and ends at `endAt`. Where nobody else sends, a lone peer with a deep
   * queue and its server would take turns: half of a pass sent early keeps both at work.
   */
  commit(endAt: number): void {
    const lengthBytes = endAt - this.#fill
    this.gatheredBytes += lengthBytes
    this.#fill = endAt
    const pool = this.#pool
    if (endAt < pool.earlySendBytes || lengthBytes > EARLY_MESSAGE_BYTES_MAX) return
    if (pool.lastSender === this) this.flush()
  }

  /** Sends `buffer[from, from + lengthBytes)` after what was gathered, without copying; then `owner` gets it. */
  append(buffer: Buffer, lengthBytes: number, owner: BufferOwner, from = 0): void {
    this.gatheredBytes += lengthBytes
    if (this.canFlush) return this.#sendBehindSlab(buffer, from, lengthBytes, owner)
    this.#rotate()
    this.#sendOrQueue(buffer, from, lengthBytes, owner)
  }

  /** Hands what was gathered to the socket, unless that has not taken the last write. */
  flush(): void {
    if (!this.canFlush) return
    const slab = this.slab
    const lengthBytes = this.#fill
    this.#fill = 0
    this.slab = NO_SLAB
    this.#pool.lastSender = this
    this.#send(slab, 0, lengthBytes, this.#pool)
  }

  /** The socket took the write that it had kept. */
  taken(): void {
    if (this.#sending !== null) this.#sendingOwner!.give(this.#sending)
    if (this.#sendingSlab !== null) this.#pool.give(this.#sendingSlab)
    this.#sending = null
    this.#sendingSlab = null
    this.#sendingOwner = null
    this.#sendingBytes = 0
    while (this.#sending === null && this.#waiting.length > 0) {
      const buffer = this.#waiting.shift()!
      const owner = this.#waitingOwners.shift()!
      const from = this.#waitingFrom.shift()!
      const lengthBytes = this.#waitingBytes.shift()!
      this.#waitingTotal -= lengthBytes
      this.#send(buffer, from, lengthBytes, owner)
    }
    this.flush()
  }

  /** Gives the buffers back that no write of the socket refers to. */
  close(): void {
    if (this.slab !== NO_SLAB) this.#pool.give(this.slab)
    for (let i = 0; i < this.#waiting.length; i++) this.#waitingOwners[i]!.give(this.#waiting[i]!)
    if (this.#pool.lastSender === this) this.#pool.lastSender = null
    this.slab = NO_SLAB
    this.#waiting.length = 0
    this.#waitingOwners.length = 0
    this.#waitingFrom.length = 0
    this.#waitingBytes.length = 0
    this.#fill = 0
    this.#waitingTotal = 0
    this.#sending = null
    this.#sendingSlab = null
    this.#sendingOwner = null
    this.#sendingBytes = 0
  }

  /** The slab is done with: send it, or queue it behind the write that is under way. */
  #rotate(): void {
    const slab = this.slab
    const lengthBytes = this.#fill
    this.#fill = 0
    this.slab = NO_SLAB
    if (lengthBytes > 0) this.#sendOrQueue(slab, 0, lengthBytes, this.#pool)
    else if (slab !== NO_SLAB) this.#pool.give(slab)
  }

  #sendOrQueue(buffer: Buffer, from: number, lengthBytes: number, owner: BufferOwner): void {
    if (this.#sending === null) return this.#send(buffer, from, lengthBytes, owner)
    this.#waiting.push(buffer)
    this.#waitingOwners.push(owner)
    this.#waitingFrom.push(from)
    this.#waitingBytes.push(lengthBytes)
    this.#waitingTotal += lengthBytes
  }

  /** A header of its own would cost a system call, and wake the peer for a few bytes. */
  #sendBehindSlab(buffer: Buffer, from: number, lengthBytes: number, owner: BufferOwner): void {
    const slab = this.slab
    const fill = this.#fill
    this.#fill = 0
    this.slab = NO_SLAB
    if (this.#outlet.write(slab.subarray(0, fill), buffer.subarray(from, from + lengthBytes))) {
      this.#pool.give(slab)
      owner.give(buffer)
    } else {
      this.#sending = buffer
      this.#sendingSlab = slab
      this.#sendingOwner = owner
      this.#sendingBytes = fill + lengthBytes
    }
  }

  #send(buffer: Buffer, from: number, lengthBytes: number, owner: BufferOwner): void {
    if (this.#outlet.write(buffer.subarray(from, from + lengthBytes), null)) {
      owner.give(buffer)
    } else {
      this.#sending = buffer
      this.#sendingOwner = owner
      this.#sendingBytes = lengthBytes
    }
  }
}
