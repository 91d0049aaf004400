import type { BlockExtent } from '../block/block-device.ts'
import { BlockKind, type BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { invariant } from '../lib/invariant.ts'
import type { VolumeExtents } from '../store/brick.ts'
import { alignDown, alignUp, isAligned } from './block-alignment.ts'
import type { ClientIdentity } from './client-identity.ts'
import { changingSpans, mappedWhereHeld } from './held-extents.ts'
import { OperationQueue, RangeHold } from './operation-queue.ts'
import type { Reservations } from './reservations.ts'
import { SANITIZER, type Sanitization } from './sanitize/sanitization.ts'
import { SegmentKeeper } from './segment-keeper.ts'
import { SubBlockIo } from './sub-block-io.ts'
import type { VolumeLimits } from './throttle/volume-limits.ts'
import { type ThrottleCounters, type ThrottleTimers, VolumeThrottle } from './throttle/volume-throttle.ts'
import type { Volume, VolumeChange } from './volume.ts'
import { OwnedVolumeHandle } from './volume-handle.ts'
import type { VolumeSpace } from './volume-space.ts'
import { type TaskOwner, VolumeTask } from './volume-task.ts'

/** Finished tasks kept for the next operations; more than this at once is rare. */
const IDLE_TASKS_MAX = 256

export interface VolumeDescription {
  readonly name: string
  readonly uuid: string
  readonly naa: Buffer
  readonly blockSizeBytes: 512 | 4096
  readonly sizeBytes: number
  readonly readOnly: boolean
  readonly removable: boolean
}

/** What outlives a volume's owner, and where its space comes from. */
export interface VolumeState {
  readonly reservations: Reservations
  readonly sanitization: Sanitization
  readonly space: VolumeSpace
}

/**
 * The owner of a volume: the one place that orders its writes. Operations that can finish in place never
 * enter the queue; the others become tasks that hold their blocks until they end.
 */
export class OwnedVolume implements Volume {
  readonly name: string
  readonly uuid: string
  readonly naa: Buffer
  readonly blockSizeBytes: 512 | 4096
  readonly removable: boolean
  readonly reservations: Reservations
  readonly sanitization: Sanitization
  readonly space: VolumeSpace
  readonly segments: SegmentKeeper
  readonly throttled: ThrottleCounters = { operations: 0, waitedMs: 0 }
  readonly #extents: VolumeExtents
  #sizeBytes: number
  #readOnly: boolean
  #failedAtBytes = 0
  #serving = true
  /** Null while there is no limit. */
  #throttle: VolumeThrottle<VolumeTask> | null = null
  readonly #queue: OperationQueue
  readonly #idleTasks: VolumeTask[] = []
  readonly #subBlock: SubBlockIo
  readonly #taskOwner: TaskOwner
  readonly #handles = new Set<OwnedVolumeHandle>()
  readonly #listeners = new Set<(change: VolumeChange) => void>()

  /** `queue`: where others hold ranges too, such as replication while it copies them. */
  constructor(
    description: VolumeDescription,
    extents: VolumeExtents,
    state: VolumeState,
    queue: OperationQueue = new OperationQueue(),
  ) {
    this.#queue = queue
    this.name = description.name
    this.uuid = description.uuid
    this.naa = description.naa
    this.blockSizeBytes = description.blockSizeBytes
    this.removable = description.removable
    this.#sizeBytes = description.sizeBytes
    this.#readOnly = description.readOnly
    this.reservations = state.reservations
    this.sanitization = state.sanitization
    this.space = state.space
    this.#extents = extents
    this.#subBlock = new SubBlockIo(extents)
    this.#taskOwner = {
      extents,
      admit: task => this.#refusalOfTask(task),
      throttleEnded: task => this.#enter(task),
      taskDone: task => this.#taskDone(task),
    }
    this.segments = new SegmentKeeper(extents, this.#queue)
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get readOnly(): boolean {
    return this.#readOnly
  }

  get failedAtBytes(): number {
    return this.#failedAtBytes
  }

  get openHandles(): number {
    return this.#handles.size
  }

  open(client: ClientIdentity): OwnedVolumeHandle {
    const handle = new OwnedVolumeHandle(this, client)
    this.#handles.add(handle)
    return handle
  }

  handleClosed(handle: OwnedVolumeHandle): void {
    this.#handles.delete(handle)
  }

  onChange(listener: (change: VolumeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The bricks have room for the new size already; nothing in flight is disturbed. */
  grow(sizeBytes: number): void {
    invariant(sizeBytes >= this.#sizeBytes, 'a volume never shrinks')
    if (sizeBytes === this.#sizeBytes) return
    this.#sizeBytes = sizeBytes
    this.#tell('resized')
  }

  spaceChanged(): void {
    this.#tell('space')
  }

  setReadOnly(readOnly: boolean): void {
    if (readOnly === this.#readOnly) return
    this.#readOnly = readOnly
    this.#tell('writeProtection')
  }

  /** What its clients may ask of it from now on. What waits for former limits goes on as these allow. */
  limit(limits: VolumeLimits, timers: ThrottleTimers): void {
    const isLimited = limits.iops !== null || limits.bytesPerSecond !== null
    if (isLimited) this.#throttle ??= new VolumeThrottle(timers, this.throttled)
    this.#throttle?.set(limits)
    if (!isLimited) this.#throttle = null
  }

  readNow(
    handle: OwnedVolumeHandle,
    offsetBytes: number,
    lengthBytes: number,
    into: Buffer,
    at: number,
  ): BlockStatus {
    const refusal = this.#refusalOf(handle, BlockKind.read, offsetBytes, lengthBytes)
    if (refusal !== BlockStatus.ok) return refusal
    if (this.#throttle !== null && !this.#passes(handle, lengthBytes)) return BlockStatus.wouldBlock
    if (!this.#queue.isEmpty && this.#blocked(offsetBytes, lengthBytes, RangeHold.read))
      return BlockStatus.wouldBlock
    const io = isAligned(offsetBytes, lengthBytes) ? this.#extents : this.#subBlock
    const status = io.readNow(offsetBytes, lengthBytes, into, at)
    if (status === BlockStatus.mediumError) this.#failedAtBytes = io.failedAtBytes
    if (this.#throttle !== null && status === BlockStatus.ok) this.#spend(handle, lengthBytes)
    return status
  }

  writeNow(
    handle: OwnedVolumeHandle,
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stream: number,
    sequence: number,
  ): BlockStatus {
    const refusal = this.#refusalOf(handle, BlockKind.write, offsetBytes, lengthBytes)
    if (refusal !== BlockStatus.ok) return refusal
    if (this.#throttle !== null && !this.#passes(handle, lengthBytes)) return BlockStatus.wouldBlock
    if (!this.#queue.isEmpty && this.#blocked(offsetBytes, lengthBytes, RangeHold.write))
      return BlockStatus.wouldBlock
    const io = isAligned(offsetBytes, lengthBytes) ? this.#extents : this.#subBlock
    const status = io.writeNow(offsetBytes, lengthBytes, from, at, null, stream, sequence)
    if (status === BlockStatus.mediumError) this.#failedAtBytes = io.failedAtBytes
    if (this.#throttle !== null && status === BlockStatus.ok) this.#spend(handle, lengthBytes)
    return status
  }

  submit(handle: OwnedVolumeHandle, operation: BlockOperation): void {
    operation.status = BlockStatus.ok
    const task = this.#idleTasks.pop() ?? new VolumeTask(this.#taskOwner)
    task.prepare(operation, handle)
    task.queued = false
    // blockDone is never called from inside submit, and a task may be refused as soon as it begins.
    if (this.#refusalOfTask(task) !== BlockStatus.ok) setImmediate(() => task.begin())
    else if (this.#throttle === null || isOurs(handle) || this.#throttle.enter(task)) this.#enter(task)
  }

  abort(operation: BlockOperation): void {
    for (let entry = this.#queue.first; entry !== null; entry = entry.nextEntry) {
      if (entry instanceof VolumeTask && entry.operation === operation) return this.#cancel(entry)
    }
    this.#cancelThrottled(task => task.operation === operation)
  }

  abortAll(handle: OwnedVolumeHandle): void {
    for (let entry = this.#queue.first; entry !== null; ) {
      const following = entry.nextEntry
      if (entry instanceof VolumeTask && entry.origin === handle) this.#cancel(entry)
      entry = following
    }
    this.#cancelThrottled(task => task.origin === handle)
  }

  /**
   * A hole is one for whoever reads it: what is being changed, or made alike after a takeover, counts as mapped. Rejects
   * with ERR_BLOCK_SANITIZING while nobody may look, whoever asks.
   */
  async extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    if (this.sanitization.refusal !== BlockStatus.ok) {
      throw new HoldfastError('ERR_BLOCK_SANITIZING', `volume '${this.name}' is being sanitized`)
    }
    const start = alignDown(offsetBytes)
    const end = offsetBytes + lengthBytes
    const before = changingSpans(this.#queue, start, alignUp(end))
    const found = await this.#extents.extents(start, alignUp(end) - start)
    // What began and ended meanwhile came before or after.
    const whole = mappedWhereHeld(found, [...before, ...changingSpans(this.#queue, start, alignUp(end))])
    return whole.map(extent => {
      const from = Math.max(extent.offsetBytes, offsetBytes)
      const to = Math.min(extent.offsetBytes + extent.lengthBytes, end)
      return { offsetBytes: from, lengthBytes: to - from, mapped: extent.mapped }
    })
  }

  /** Refuses what is new with unavailable, ends what waits, lets the rest finish. */
  async close(): Promise<void> {
    this.#serving = false
    this.segments.stop()
    await this.sanitization.stop()
    await Promise.all([...this.#handles].map(handle => handle.close()))
  }

  #enter(task: VolumeTask): void {
    task.queued = true
    this.#queue.enter(task)
  }

  #taskDone(task: VolumeTask): void {
    const { operation } = task
    const handle = task.origin as OwnedVolumeHandle
    if (task.queued) this.#queue.leave(task)
    if (this.#idleTasks.length < IDLE_TASKS_MAX) this.#idleTasks.push(task)
    handle.operationEnded()
    operation.completion.blockDone(operation)
  }

  #tell(change: VolumeChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  /** Why a client may not do this, in the order in which SCSI wants to hear it. */
  #refusalOf(
    handle: OwnedVolumeHandle,
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
  ): BlockStatus {
    if (!this.#serving || handle.closed) return BlockStatus.unavailable
    if (offsetBytes + lengthBytes > this.#sizeBytes) return BlockStatus.outOfRange
    const { client } = handle
    if (client !== SANITIZER && this.sanitization.refusal !== BlockStatus.ok) return this.sanitization.refusal
    // A flush changes nothing that anybody could read.
    if (kind === BlockKind.read || kind === BlockKind.verify || kind === BlockKind.flush) {
      if (client.protocol !== 'internal' && !this.reservations.permits(client, 'read')) {
        return BlockStatus.reservationConflict
      }
      return BlockStatus.ok
    }
    if (client.protocol === 'internal') return BlockStatus.ok
    if (!this.reservations.permits(client, 'write')) return BlockStatus.reservationConflict
    return this.#readOnly ? BlockStatus.writeProtected : BlockStatus.ok
  }

  #refusalOfTask(task: VolumeTask): BlockStatus {
    if (task.cancelled) return BlockStatus.aborted
    const { kind, offsetBytes, lengthBytes } = task.operation
    return this.#refusalOf(task.origin as OwnedVolumeHandle, kind, offsetBytes, lengthBytes)
  }

  #blocked(offsetBytes: number, lengthBytes: number, hold: RangeHold): boolean {
    return this.#queue.conflicts(alignDown(offsetBytes), alignUp(offsetBytes + lengthBytes), hold)
  }

  #passes(handle: OwnedVolumeHandle, lengthBytes: number): boolean {
    return isOurs(handle) || this.#throttle!.passes(lengthBytes)
  }

  #spend(handle: OwnedVolumeHandle, lengthBytes: number): void {
    if (!isOurs(handle)) this.#throttle!.spend(lengthBytes)
  }

  #cancel(task: VolumeTask): void {
    task.cancelled = true
    if (!task.waiting) return
    this.#queue.leave(task)
    task.queued = false
    setImmediate(() => task.begin())
  }

  #cancelThrottled(isChosen: (task: VolumeTask) => boolean): void {
    for (const task of this.#throttle?.takeOut(isChosen) ?? []) {
      task.cancelled = true
      setImmediate(() => task.begin())
    }
  }
}

/** The daemon's own work is outside the limits of clients: owners prove by a read that they still are. */
function isOurs({ client }: OwnedVolumeHandle): boolean {
  return client.protocol === 'internal'
}
