import { BlockStatus } from '../block/block-status.ts'
import { invariant } from '../lib/invariant.ts'
import type { BrickParts } from './brick-parts.ts'
import { LIVE_LAYER } from './catalogue.ts'
import type { Journal } from './journal/journal.ts'
import type { JournalTarget } from './journal/journal-format.ts'
import { slices } from './slices.ts'
import type { StoredVolume } from './volume-extents.ts'

/** Larger ones gain nothing from being written twice. */
const JOURNALLED_BYTES_MAX = 64 * 1024

/**
 * How putting a journalled write in place may end. Nothing of it is there and nobody is told that it is when its volume
 * was deleted meanwhile, or when a trim beside it gave its space back to a full brick.
 */
const HARMLESS: readonly BlockStatus[] = [BlockStatus.ok, BlockStatus.outOfRange, BlockStatus.noSpace]

/** After so many in a row that were alone the next is taken to be, too. */
const LONE_WRITES_MIN = 4

/**
 * Writes that are durable when they complete, and flushes. A lone write is written in place and synced; when
 * others are on their way, small ones share records of the journal: at queue depth 32 that is 1.6 times as
 * many, alone it would make the next flush dearer. The first of a deep queue has company to come.
 */
export class DurableWrites {
  readonly #parts: BrickParts
  #journal: Journal | null = null
  #inFlight = 0
  #loneWrites = LONE_WRITES_MIN

  constructor(parts: BrickParts) {
    this.#parts = parts
  }

  /** From now on writes may be journalled, and flushes move the journal's checkpoint. */
  use(journal: Journal): void {
    this.#journal = journal
    this.#parts.durability.journal = journal
  }

  async flush(): Promise<BlockStatus> {
    const { durability, failure } = this.#parts
    try {
      await durability.flush()
      return BlockStatus.ok
    } catch (error) {
      if (failure.error === null) throw error
      return BlockStatus.ioError
    }
  }

  async write(
    volume: StoredVolume,
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
  ): Promise<BlockStatus> {
    const isShared = lengthBytes <= JOURNALLED_BYTES_MAX && this.#hasCompany()
    this.#inFlight++
    try {
      if (isShared && this.#journal !== null) {
        const payload = from.subarray(at, at + lengthBytes)
        return await this.#writeJournalled(this.#journal, volume, offsetBytes, payload)
      }
      const status = await volume.writeWaiting(offsetBytes, lengthBytes, from, at)
      return status === BlockStatus.ok ? await this.flush() : status
    } finally {
      this.#inFlight--
    }
  }

  #hasCompany(): boolean {
    this.#loneWrites = this.#inFlight > 0 ? 0 : this.#loneWrites + 1
    return this.#loneWrites < LONE_WRITES_MIN
  }

  /** Whole or not at all: the record is durable before the first byte is put in place. */
  async writeAtomic(volume: StoredVolume, offsetBytes: number, payload: Buffer): Promise<BlockStatus> {
    invariant(this.#journal !== null, 'a volume is served once its brick has its journal')
    this.#inFlight++
    try {
      return await this.#writeJournalled(this.#journal, volume, offsetBytes, payload)
    } finally {
      this.#inFlight--
    }
  }

  async #writeJournalled(
    journal: Journal,
    volume: StoredVolume,
    offsetBytes: number,
    payload: Buffer,
  ): Promise<BlockStatus> {
    const ready = await volume.becomeReady(offsetBytes, payload.length)
    if (ready !== BlockStatus.ok) return ready
    const { failure } = this.#parts
    let applied: BlockStatus = BlockStatus.ok
    const error = await new Promise<Error | null>(resolve => {
      journal.append({
        targets: targetsOf(volume.map.uuid, offsetBytes, payload.length),
        payload,
        async applyJournalled() {
          applied = await volume.writeWaiting(offsetBytes, payload.length, payload, 0)
          if (!HARMLESS.includes(applied)) throw failure.set('putting a journalled write in place', applied)
        },
        journalDone: resolve,
      })
    })
    if (error === null) return applied
    failure.set('the journal', error)
    return BlockStatus.ioError
  }
}

function targetsOf(volume: string, offsetBytes: number, lengthBytes: number): JournalTarget[] {
  return slices(offsetBytes, lengthBytes).map(({ extent, fromBytes, toBytes }) => ({
    volume,
    layer: LIVE_LAYER,
    extent,
    offsetBytes: fromBytes,
    lengthBytes: toBytes - fromBytes,
  }))
}
