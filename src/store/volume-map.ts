import type { BlockStatus } from '../block/block-status.ts'
import { InFlight } from './in-flight.ts'
import { SLOT_BYTES, STAMP_UNKNOWN } from './layout.ts'

export const NO_SLOT = -1

/** Set at open, and by the owner. */
export interface MapOptions {
  /** Whether blocks in doubt stand as they are: true where there is nobody else to ask. */
  readonly standsAlone: boolean
}

/** Where the extents of a volume lie. */
export class VolumeMap {
  readonly uuid: string
  sizeBytes = 0
  /** By extent: its slot, or NO_SLOT. */
  slots = new Int32Array(0)
  /** What regions written from now on are stamped with; 0 until the owner has spoken. */
  generation = 0
  /** Regions of this volume that have space. */
  usedRegions = 0
  /** To be changed through StoredReplica, which tells the slots. */
  standsAlone: boolean
  /** Operations that may be using a slot of this volume. */
  readonly inFlight = new InFlight()
  /** Slots whose stamps the first message of the owner replaces. */
  readonly unknownStamps = new Set<number>()
  /** What the redo journal held at open. */
  readonly atomicsAtOpen: { offsetBytes: number; lengthBytes: number }[] = []
  /** Resolves when nobody gives slots of this volume back. */
  freeing: Promise<unknown> = Promise.resolve()
  /** First writes into an extent share one allocation. */
  readonly allocating = new Map<number, Promise<BlockStatus>>()

  constructor(uuid: string, sizeBytes: number, { standsAlone }: MapOptions) {
    this.uuid = uuid
    this.standsAlone = standsAlone
    this.resize(sizeBytes)
  }

  /** The stamp of a write into `slot` now. Before the owner has spoken nobody knows what it should be. */
  stampFor(slot: number): number {
    if (this.generation > 0) return this.generation
    this.unknownStamps.add(slot)
    return STAMP_UNKNOWN
  }

  resize(sizeBytes: number): void {
    const slots = new Int32Array(Math.ceil(sizeBytes / SLOT_BYTES)).fill(NO_SLOT)
    slots.set(this.slots)
    this.slots = slots
    this.sizeBytes = sizeBytes
  }
}
