import { ScsiCommand, type ScsiTransport } from '../scsi/scsi-command.ts'
import { TransferFailure } from './transfer-failure.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'

export const SlotState = {
  free: 0,
  /** SCSI has it: data-out is being collected, or it is being executed. */
  withScsi: 1,
  /** Refused before SCSI saw it; only its data-out is still being swallowed. */
  refused: 2,
  /** Being taken back from SCSI, to be answered with its `failure`. */
  failing: 3,
  /** SCSI is done; the answer waits for output room. */
  answered: 4,
  /** SCSI is done; data-in is being fetched. */
  fetching: 5,
} as const
export type SlotState = (typeof SlotState)[keyof typeof SlotState]

/** The most that we agree to as MaxOutstandingR2T. */
export const OUTSTANDING_R2T_MAX = 8

/** A place in a session for one task: the SCSI command, its tags, and how far its data is. Used again and again. */
export class TaskSlot extends ScsiCommand {
  readonly index: number
  state: SlotState = SlotState.free
  initiatorTaskTag = RESERVED_TAG
  cmdSn = 0
  immediate = false
  /** It occupies a place in the command window. */
  inWindow = false
  awaitsDisk = false
  reads = false
  writes = false
  lunHigh = 0
  lunLow = 0
  startedAtUs = 0

  /** Rises with each task that data-out is collected for. */
  collectedAs = 0
  /** Bytes of data-out that will be collected: what the CDB takes and the initiator has. */
  wantedBytes = 0
  /** Pooled; data-out that could not be borrowed from the receive buffer. */
  gathered: Buffer | null = null
  /** Unsolicited Data-Out PDUs may still come. */
  unsolicitedOpen = false
  /** Data-out that arrived, wanted or not: the offset at which the next must begin. */
  transferredBytes = 0
  /** DataSN of the next Data-Out of the open sequence. */
  dataOutSn = 0
  r2tSn = 0
  /** Data-out up to here was sent unsolicited or has been asked for. */
  solicitedUpTo = 0
  /** Outstanding R2Ts, oldest at `r2tFirst`; a ring. */
  readonly r2tTags = new Uint32Array(OUTSTANDING_R2T_MAX)
  readonly r2tEnds = new Float64Array(OUTSTANDING_R2T_MAX)
  r2tFirst = 0
  r2tCount = 0
  waitsForRoom = false
  failure: TransferFailure = TransferFailure.none
  /** commandDone came while data-out was still to come: the answer waits for its end. */
  answerReady = false

  dataInSent = 0
  dataInSn = 0
  /** Pooled; data-in that had to be waited for. */
  fetched: Buffer | null = null

  nextInBucket: TaskSlot | null = null
  nextWaiting: TaskSlot | null = null

  constructor(transport: ScsiTransport, index: number) {
    super(transport)
    this.index = index
  }

  /** The initiator still has data-out to send for this task. */
  get transferOpen(): boolean {
    return this.unsolicitedOpen || this.r2tCount > 0
  }

  /** SCSI does not have it, or is done with it but for its data-in. */
  get isOurs(): boolean {
    const { state } = this
    if (state === SlotState.withScsi) return this.answerReady
    return state === SlotState.refused || state === SlotState.answered || state === SlotState.fetching
  }

  reset(): void {
    this.dataOutLength = 0
    this.dataOutReceived = 0
    this.dataOutAt = 0
    this.status = 0
    this.senseLength = 0
    this.dataInLength = 0
    this.dataIn = null
    this.dataInSource = null
    this.aborted = false
    this.awaitsDisk = false
    this.wantedBytes = 0
    this.unsolicitedOpen = false
    this.transferredBytes = 0
    this.dataOutSn = 0
    this.r2tSn = 0
    this.solicitedUpTo = 0
    this.r2tFirst = 0
    this.r2tCount = 0
    this.waitsForRoom = false
    this.failure = TransferFailure.none
    this.answerReady = false
    this.dataInSent = 0
    this.dataInSn = 0
  }
}

/** Slots in a line, first come, first served. A slot is in one line at a time. */
export class SlotQueue {
  #first: TaskSlot | null = null
  #last: TaskSlot | null = null

  get first(): TaskSlot | null {
    return this.#first
  }

  push(slot: TaskSlot): void {
    slot.nextWaiting = null
    if (this.#last === null) this.#first = slot
    else this.#last.nextWaiting = slot
    this.#last = slot
  }

  unshift(slot: TaskSlot): void {
    slot.nextWaiting = this.#first
    this.#first = slot
    if (this.#last === null) this.#last = slot
  }

  shift(): TaskSlot | null {
    const slot = this.#first
    if (slot !== null) this.remove(slot)
    return slot
  }

  remove(slot: TaskSlot): void {
    let before: TaskSlot | null = null
    let at = this.#first
    while (at !== null && at !== slot) {
      before = at
      at = at.nextWaiting
    }
    if (at === null) return
    if (before === null) this.#first = slot.nextWaiting
    else before.nextWaiting = slot.nextWaiting
    if (this.#last === slot) this.#last = before
    slot.nextWaiting = null
  }
}

/** Room for ITTs: initiators count them up, so the low bits spread well. */
const BUCKETS = 256

/** The slots of a session: made when first needed, found by initiator task tag. */
export class TaskSlots {
  readonly all: TaskSlot[] = []
  readonly #transport: ScsiTransport
  readonly #free: TaskSlot[] = []
  readonly #buckets: (TaskSlot | null)[] = new Array(BUCKETS).fill(null)
  #immediate = 0
  #used = 0
  #awaitingDisk = 0

  constructor(transport: ScsiTransport) {
    this.#transport = transport
  }

  get used(): number {
    return this.#used
  }

  get immediateUsed(): number {
    return this.#immediate
  }

  get awaitingDisk(): number {
    return this.#awaitingDisk
  }

  take(initiatorTaskTag: number, immediate: boolean): TaskSlot {
    let slot = this.#free.pop()
    if (slot === undefined) {
      slot = new TaskSlot(this.#transport, this.all.length)
      this.all.push(slot)
    }
    slot.reset()
    slot.state = SlotState.withScsi
    slot.initiatorTaskTag = initiatorTaskTag
    slot.immediate = immediate
    const bucket = initiatorTaskTag & (BUCKETS - 1)
    slot.nextInBucket = this.#buckets[bucket]
    this.#buckets[bucket] = slot
    this.#used++
    if (immediate) this.#immediate++
    return slot
  }

  give(slot: TaskSlot): void {
    const bucket = slot.initiatorTaskTag & (BUCKETS - 1)
    let before: TaskSlot | null = null
    for (let at = this.#buckets[bucket]; at !== slot; at = at!.nextInBucket) before = at
    if (before === null) this.#buckets[bucket] = slot.nextInBucket
    else before.nextInBucket = slot.nextInBucket
    slot.nextInBucket = null
    slot.state = SlotState.free
    this.#used--
    if (slot.immediate) this.#immediate--
    if (slot.awaitsDisk) this.#awaitingDisk--
    this.#free.push(slot)
  }

  /** Until it is given back. */
  awaitsDisk(slot: TaskSlot): void {
    if (!slot.awaitsDisk) this.#awaitingDisk++
    slot.awaitsDisk = true
  }

  find(initiatorTaskTag: number): TaskSlot | null {
    let slot = this.#buckets[initiatorTaskTag & (BUCKETS - 1)]
    while (slot !== null && slot.initiatorTaskTag !== initiatorTaskTag) slot = slot.nextInBucket
    return slot
  }
}
