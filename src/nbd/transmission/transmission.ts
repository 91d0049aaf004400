import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { blockStatusOf, causeOfBlockStatus } from '../../errors/block-causes.ts'
import { type Cause, causes } from '../../errors/causes.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { IoStats } from '../../lib/io-stats.ts'
import type { PassTimer } from '../../lib/pass-timer.ts'
import type { BufferPool } from '../../net/buffer-pool.ts'
import type { SlabOutput } from '../../net/slab-output.ts'
import type { VolumeHandle } from '../../volume/volume.ts'
import type { Agreement } from '../handshake/handshake.ts'
import {
  CACHE_BYTES_MAX,
  CACHE_PIECE_BYTES,
  type NbdLimits,
  PIECE_BYTES_MAX,
  READ_DATA_AT,
  SLAB_READ_BYTES_MAX,
} from '../limits.ts'
import { CommandFlag, NbdCommand, NbdError, ReplyStyle } from '../wire/constants.ts'
import type { NbdRequest } from '../wire/request.ts'
import { allocationOf } from './allocation.ts'
import { ReplyWriter } from './reply-writer.ts'
import { RequestReader, type RequestSink } from './request-reader.ts'
import { type RequestContext, refusalOf } from './request-rules.ts'
import { RequestSlot, type SlotOwner } from './request-slot.ts'
import { filteredStatusLength } from './status-payload.ts'

/** A connection as its transmission phase sees it. */
export interface TransmissionLink {
  readonly output: SlabOutput
  /** Others come first now: receiveAgain() follows by itself. */
  turnIsOver(): boolean
  /** Sends what was gathered: at the end of the pass, or of the tick outside of one. */
  flushSoon(): void
  /** Reads on after `receiving` went from false to true outside of a pass. */
  receiveAgain(): void
  close(reason: string): void
  closeWhenSent(reason: string): void
}

export interface TransmissionOptions {
  readonly link: TransmissionLink
  readonly agreement: Agreement
  readonly device: VolumeHandle
  readonly pool: BufferPool
  readonly timer: PassTimer
  readonly limits: NbdLimits
}

/** The transmission phase of one connection: requests against a volume, answered in whatever order they end. */
export class Transmission implements RequestSink, SlotOwner, RequestContext {
  readonly stats = new IoStats()
  readonly reader: RequestReader
  readonly agreement: Agreement
  readonly device: VolumeHandle
  readonly style: ReplyStyle
  readonly blockStatus: boolean
  /** New requests are answered with ESHUTDOWN. */
  stopping = false
  readonly #link: TransmissionLink
  readonly #pool: BufferPool
  readonly #timer: PassTimer
  readonly #limits: NbdLimits
  readonly #replies: ReplyWriter
  readonly #idleSlots: RequestSlot[] = []
  /** Why the payload that is being received is not wanted. */
  #refusal: NbdError = NbdError.NONE
  #disconnecting = false
  #isOpen = true
  #busySlots = 0
  #busyBytes = 0
  #awaitedSyncs = 0

  constructor({ link, agreement, device, pool, timer, limits }: TransmissionOptions) {
    this.#link = link
    this.#pool = pool
    this.#timer = timer
    this.#limits = limits
    this.agreement = agreement
    this.device = device
    this.style = agreement.style
    this.blockStatus = agreement.blockStatus
    this.#replies = new ReplyWriter(link.output, pool, agreement.style)
    this.reader = new RequestReader(this, pool, agreement.style === ReplyStyle.extended)
  }

  get readOnly(): boolean {
    return this.agreement.export.readOnly || this.device.readOnly
  }

  get resizable(): boolean {
    return this.agreement.export.resize !== null && !this.readOnly
  }

  get requestsInFlight(): number {
    return this.#busySlots
  }

  /** The client's disconnect was heard and everything before it is answered. */
  get isDone(): boolean {
    return this.#disconnecting && this.#busySlots === 0
  }

  /** The next answer comes from a thread that waits for the disk. */
  get awaitsDisk(): boolean {
    return this.#awaitedSyncs > 0
  }

  // RequestSink.

  get receiving(): boolean {
    return (
      this.#isOpen &&
      !this.#disconnecting &&
      !this.#link.turnIsOver() &&
      this.#busySlots < this.#limits.requestsPerConnectionMax &&
      this.#busyBytes + this.#link.output.pendingBytes < this.#limits.bytesInFlightMax
    )
  }

  wantsPayload(request: NbdRequest): boolean {
    this.#refusal = this.#refusalOf(request)
    return this.#refusal === NbdError.NONE
  }

  requestReceived(request: NbdRequest, data: Buffer | null, dataAt: number, pooled: boolean): void {
    if (request.command === NbdCommand.DISC) return this.#disconnect()
    const refusal = request.payloadBytes > 0 ? this.#refusal : this.#refusalOf(request)
    const startedAtMs = this.#timer.begin()
    if (refusal !== NbdError.NONE) return this.#refuse(request, startedAtMs, refusal)
    switch (request.command) {
      case NbdCommand.READ:
        return this.#read(request, startedAtMs)
      case NbdCommand.WRITE:
        return this.#write(request, startedAtMs, data!, dataAt, pooled)
      case NbdCommand.BLOCK_STATUS:
        if (data !== null) this.#filterStatus(request, data, dataAt)
        if (pooled) this.#pool.give(data!)
        return this.#begin(request, startedAtMs, null)
      case NbdCommand.CACHE:
        request.lengthBytes = Math.min(request.lengthBytes, CACHE_BYTES_MAX)
        return this.#begin(request, startedAtMs, this.#pool.take(CACHE_PIECE_BYTES))
      default:
        return this.#begin(request, startedAtMs, null)
    }
  }

  streamFailed(fault: string): void {
    this.#link.close(fault)
  }

  // SlotOwner.

  /** An operation of the slot has ended: its request goes on or is answered. */
  slotStepped(slot: RequestSlot): void {
    const { status } = slot.operation
    if (this.#isOpen && status === BlockStatus.ok && this.#submitNext(slot)) return
    if (this.#isOpen) this.#answer(slot, status)
    this.#release(slot)
  }

  /** The connection is gone: nothing is answered any more. Resolves when the device has let go of everything. */
  close(): Promise<void> {
    this.#isOpen = false
    this.reader.close()
    return this.device.close()
  }

  #refusalOf(request: NbdRequest): NbdError {
    if (this.stopping && request.command !== NbdCommand.DISC) return NbdError.ESHUTDOWN
    return refusalOf(request, this)
  }

  #disconnect(): void {
    this.#disconnecting = true
    if (this.isDone) this.#link.closeWhenSent('disconnectedByClient')
  }

  #read(request: NbdRequest, startedAtMs: number): void {
    const { offsetBytes, lengthBytes } = request
    const whole = (request.flags & CommandFlag.DF) !== 0
    let status: BlockStatus
    if (lengthBytes <= SLAB_READ_BYTES_MAX) {
      const dataAt = this.#replies.beginRead(lengthBytes)
      status = this.device.readNow(offsetBytes, lengthBytes, this.#link.output.slab, dataAt)
      if (status === BlockStatus.wouldBlock)
        return this.#begin(request, startedAtMs, this.#pool.take(READ_DATA_AT + lengthBytes))
      if (status === BlockStatus.ok) this.#replies.endRead(request, dataAt, whole)
    } else {
      const buffer = this.#pool.take(READ_DATA_AT + lengthBytes)
      status = this.device.readNow(offsetBytes, lengthBytes, buffer, READ_DATA_AT)
      if (status === BlockStatus.wouldBlock) return this.#begin(request, startedAtMs, buffer)
      if (status === BlockStatus.ok) this.#replies.sendRead(request, buffer, whole)
      else this.#pool.give(buffer)
    }
    if (status === BlockStatus.ok) return this.#readEnded(lengthBytes, startedAtMs)
    this.#blockFailed(request, startedAtMs, status, this.device.failedAtBytes)
  }

  #write(request: NbdRequest, startedAtMs: number, data: Buffer, dataAt: number, pooled: boolean): void {
    const { offsetBytes, lengthBytes } = request
    let status: BlockStatus = BlockStatus.wouldBlock
    if ((request.flags & CommandFlag.FUA) === 0) {
      status = this.device.writeNow(offsetBytes, lengthBytes, data, dataAt)
    }
    if (status === BlockStatus.wouldBlock) {
      let payload = data
      if (!pooled) {
        payload = this.#pool.take(lengthBytes)
        data.copy(payload, 0, dataAt, dataAt + lengthBytes)
      }
      return this.#begin(request, startedAtMs, payload)
    }
    if (pooled) this.#pool.give(data)
    if (status !== BlockStatus.ok) {
      return this.#blockFailed(request, startedAtMs, status, this.device.failedAtBytes)
    }
    this.#replies.acknowledge(request)
    this.#writeEnded(lengthBytes, startedAtMs)
  }

  /** Puts what the payload of a filtered BLOCK_STATUS says into the request; a bad one ends up with length 0. */
  #filterStatus(request: NbdRequest, data: Buffer, dataAt: number): void {
    request.lengthBytes = filteredStatusLength(data, dataAt, request, this)
  }

  /** The request waits for the device in a slot. `buffer` belongs to the slot. */
  #begin(request: NbdRequest, startedAtMs: number, buffer: Buffer | null): void {
    const slot = this.#idleSlots.pop() ?? new RequestSlot(this)
    slot.begin(request, startedAtMs, buffer)
    this.#busySlots++
    this.#busyBytes += buffer === null ? 0 : buffer.length
    this.stats.inFlight++
    if (slot.awaitsSync) this.#awaitedSyncs++
    if (slot.command === NbdCommand.BLOCK_STATUS) void this.#reportStatus(slot)
    else if (slot.command === NbdCommand.RESIZE) void this.#resize(slot)
    else this.#submitNext(slot)
  }

  /** Submits the next operation of the slot's request; false when there is none left. */
  #submitNext(slot: RequestSlot): boolean {
    const { command, flags, lengthBytes, submittedBytes } = slot
    if (submittedBytes > 0 && submittedBytes >= lengthBytes) return false
    const left = lengthBytes - submittedBytes
    // Of every piece, since each may be on other bricks.
    const fua = (flags & CommandFlag.FUA) !== 0
    switch (command) {
      case NbdCommand.FLUSH:
        // A flush has no length: one byte stands for "submitted".
        slot.prepare(BlockKind.flush, 0, false)
        slot.submittedBytes = 1
        break
      case NbdCommand.TRIM:
        slot.prepare(BlockKind.trim, PIECE_BYTES_MAX, fua)
        break
      case NbdCommand.WRITE_ZEROES: {
        const kind = (flags & CommandFlag.NO_HOLE) === 0 ? BlockKind.trim : BlockKind.zero
        slot.prepare(kind, PIECE_BYTES_MAX, fua)
        break
      }
      case NbdCommand.CACHE:
        slot.prepare(BlockKind.read, CACHE_PIECE_BYTES, false)
        break
      case NbdCommand.WRITE:
        slot.prepare(BlockKind.write, left, fua)
        break
      default:
        slot.prepare(BlockKind.read, left, false)
        slot.operation.dataAt = READ_DATA_AT
    }
    this.device.submit(slot.operation)
    return true
  }

  #answer(slot: RequestSlot, status: BlockStatus): void {
    if (status !== BlockStatus.ok) {
      return this.#blockFailed(slot, slot.startedAtMs, status, slot.operation.failedAtBytes)
    }
    if (slot.command === NbdCommand.READ) {
      const data = slot.buffer!
      this.#busyBytes -= data.length
      slot.buffer = null
      this.#replies.sendRead(slot, data, (slot.flags & CommandFlag.DF) !== 0)
      return this.#readEnded(slot.lengthBytes, slot.startedAtMs)
    }
    this.#replies.acknowledge(slot)
    if (slot.command === NbdCommand.WRITE) return this.#writeEnded(slot.lengthBytes, slot.startedAtMs)
    this.stats.others++
    this.#timer.end(this.stats, slot.startedAtMs)
  }

  async #reportStatus(slot: RequestSlot): Promise<void> {
    const onlyOne = (slot.flags & CommandFlag.REQ_ONE) !== 0
    try {
      if (slot.lengthBytes === 0) return this.#refuse(slot, slot.startedAtMs, NbdError.EINVAL)
      const extents = await allocationOf(this.device, slot.offsetBytes, slot.lengthBytes, onlyOne)
      if (!this.#isOpen) return
      this.#replies.sendAllocation(slot, extents)
      this.stats.others++
      this.#timer.end(this.stats, slot.startedAtMs)
    } catch (error) {
      if (this.#isOpen) this.#blockFailed(slot, slot.startedAtMs, blockStatusOf(error), 0)
    } finally {
      this.#release(slot)
    }
  }

  async #resize(slot: RequestSlot): Promise<void> {
    try {
      await this.agreement.export.resize!(slot.offsetBytes)
      if (!this.#isOpen) return
      this.#replies.acknowledge(slot)
      this.stats.others++
      this.#timer.end(this.stats, slot.startedAtMs)
    } catch (error) {
      const code = error instanceof HoldfastError ? error.code : 'ERR_BLOCK_IO'
      if (this.#isOpen) this.#failed(slot, slot.startedAtMs, causes[code], null)
    } finally {
      this.#release(slot)
    }
  }

  #release(slot: RequestSlot): void {
    if (slot.buffer !== null) {
      this.#busyBytes -= slot.buffer.length
      this.#pool.give(slot.buffer)
      slot.buffer = null
    }
    this.#busySlots--
    if (slot.awaitsSync) this.#awaitedSyncs--
    this.stats.inFlight--
    this.#idleSlots.push(slot)
    if (!this.#isOpen) return
    if (this.isDone) this.#link.closeWhenSent('disconnectedByClient')
    this.#link.flushSoon()
    this.#link.receiveAgain()
  }

  #refuse(request: NbdRequest | RequestSlot, startedAtMs: number, error: NbdError): void {
    this.#replies.fail(request, error, EXPLANATIONS[error] ?? '')
    this.stats.errors++
    this.#timer.end(this.stats, startedAtMs)
  }

  #blockFailed(
    request: NbdRequest | RequestSlot,
    startedAtMs: number,
    status: BlockStatus,
    failedAtBytes: number,
  ): void {
    const cause = causeOfBlockStatus(status)
    const known = status === BlockStatus.mediumError && request.command !== NbdCommand.CACHE
    this.#failed(request, startedAtMs, cause, known ? failedAtBytes : null)
  }

  #failed(
    request: NbdRequest | RequestSlot,
    startedAtMs: number,
    cause: Cause,
    failedAtBytes: number | null,
  ): void {
    this.#replies.fail(request, cause.nbd ?? NbdError.EIO, cause.says, failedAtBytes)
    this.stats.errors++
    this.#timer.end(this.stats, startedAtMs)
  }

  #readEnded(lengthBytes: number, startedAtMs: number): void {
    this.stats.reads++
    this.stats.readBytes += lengthBytes
    this.#timer.end(this.stats, startedAtMs)
  }

  #writeEnded(lengthBytes: number, startedAtMs: number): void {
    this.stats.writes++
    this.stats.writtenBytes += lengthBytes
    this.#timer.end(this.stats, startedAtMs)
  }
}

/** For people: structured errors carry a sentence. */
const EXPLANATIONS: Partial<Record<NbdError, string>> = {
  [NbdError.EPERM]: 'the export is read-only, or not to be resized by this client',
  [NbdError.EINVAL]: 'the command, its flags or its range are not valid for this export',
  [NbdError.ENOSPC]: 'the range ends past the end of the export',
  [NbdError.EOVERFLOW]: 'the read is longer than the maximum payload',
  [NbdError.ENOTSUP]: 'these zeroes would take as long as a write',
  [NbdError.ESHUTDOWN]: 'the server is being shut down',
}
