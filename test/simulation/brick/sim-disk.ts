import type { Random } from '../world/random.ts'
import type { Tally } from '../world/tally.ts'
import { REGIONS_PER_SEGMENT, STAMP_UNKNOWN, type VolumeImage } from './volume-image.ts'

/** What goes wrong with a disk at present; the nemesis turns these. */
export interface DiskTrouble {
  /** Every operation that waits for the disk takes this many milliseconds more. */
  slowMs: number
  /** The next fdatasync fails, and what it should have written is lost. */
  failsNextFsync: boolean
  /** The next write that reaches the disk fails. */
  failsNextWrite: boolean
  /** The next write hangs for so long, and no other does. */
  nextWriteMs: number
  /** Regions that may still be reserved. */
  freeRegions: number
}

export function healthy(): DiskTrouble {
  return {
    slowMs: 0,
    failsNextFsync: false,
    failsNextWrite: false,
    nextWriteMs: 0,
    freeRegions: Number.POSITIVE_INFINITY,
  }
}

/** The disk of one machine: what a brick keeps there, from one opening to the next. */
export class SimDisk {
  readonly uuid: string
  readonly images = new Map<string, VolumeImage>()
  readonly trouble: DiskTrouble = healthy()
  openCounter = 0
  /** Nobody has opened it since: stamps of active segments are unknown, and not yet written so. */
  hasLostPower = false
  /** Of the boot under which everything here was last wholly trusted. */
  trustedBootId: string
  /** A write or an fsync failed: nothing here is believed until it was compared. PROTOCOL rule 15. */
  failedOnce = false
  /** Its stamps tell nothing of what was there before. */
  wasEmptied = false
  /** The last process closed it properly. */
  cleanlyClosed = true
  readonly #random: Random
  readonly #tally: Tally

  constructor(random: Random, tally: Tally, bootId: string) {
    this.#random = random
    this.#tally = tally
    this.uuid = random.uuid()
    this.trustedBootId = bootId
  }

  get isSlow(): boolean {
    return this.trouble.slowMs + this.trouble.nextWriteMs > 0
  }

  /** How long the write hangs that begins now. */
  hangMs(): number {
    const ms = this.trouble.nextWriteMs
    this.trouble.nextWriteMs = 0
    return ms
  }

  /** Somebody made a new brick under the old name. */
  empty(): void {
    this.images.clear()
    this.wasEmptied = true
  }

  losePower(): void {
    this.hasLostPower = true
    for (const image of this.images.values()) {
      const { stampsHold, torn, lost } = image.losePower(this.#random)
      if (torn > 0) this.#tally.add('torn write', torn)
      if (lost > 0) this.#tally.add('unsynced page lost', lost)
      if (stampsHold) continue
      this.#tally.add('stamp page torn')
      for (let region = 0; region < image.regions; region++) image.setStamp(region, STAMP_UNKNOWN)
    }
  }

  /** At the first opening after a loss of power. PROTOCOL rule 11. */
  doubtStamps(): void {
    for (const image of this.images.values()) {
      for (const segment of image.active) {
        for (let i = 0; i < REGIONS_PER_SEGMENT; i++)
          image.setStamp(segment * REGIONS_PER_SEGMENT + i, STAMP_UNKNOWN)
      }
    }
  }

  /** After a failed write: every region may hold anything, and clean pages may vanish from the cache. */
  doubtAll(): void {
    for (const image of this.images.values()) {
      image.evict()
      for (let region = 0; region < image.regions; region++) image.setStamp(region, STAMP_UNKNOWN)
      for (const region of image.allocated) image.active.add(Math.floor(region / REGIONS_PER_SEGMENT))
    }
  }
}
