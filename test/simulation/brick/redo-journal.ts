import type { Random } from '../world/random.ts'

/** Whether a record that was not synced is there after the process, or the power, was gone. */
const KEPT_CHANCE = 0.5

/** One write that is to be there whole or not at all. */
export interface RedoRecord {
  readonly offsetBytes: number
  readonly data: Buffer
  isDurable: boolean
  isInPlace: boolean
}

/** Records outlive processes: what src/store/journal keeps of the atomic writes of one volume. */
export class RedoJournal {
  #records: RedoRecord[] = []

  append(offsetBytes: number, data: Buffer): RedoRecord {
    const record = { offsetBytes, data, isDurable: false, isInPlace: false }
    this.#records.push(record)
    return record
  }

  /** It was refused: no replay brings it. */
  drop(record: RedoRecord): void {
    this.#records = this.#records.filter(other => other !== record)
  }

  get spans(): { offsetBytes: number; lengthBytes: number }[] {
    return this.#records.map(({ offsetBytes, data }) => ({ offsetBytes, lengthBytes: data.length }))
  }

  get inPlace(): readonly RedoRecord[] {
    return this.#records.filter(record => record.isInPlace)
  }

  /** What they left in place is on the platter. */
  retire(records: readonly RedoRecord[]): void {
    this.#records = this.#records.filter(record => !records.includes(record))
  }

  /** A record is whole or none. Answers those of which some blocks may have been put in place when the process died. */
  interrupted(random: Random): readonly RedoRecord[] {
    this.#records = this.#records.filter(({ isDurable }) => isDurable || random.chance(KEPT_CHANCE))
    return this.#records.filter(({ isDurable, isInPlace }) => isDurable && !isInPlace)
  }

  /** The page cache is gone, and with it everybody's word for what is in place. */
  losePower(random: Random): void {
    this.interrupted(random)
    for (const record of this.#records) record.isInPlace = false
  }

  /** Nothing at or after a byte and before another is anybody's any more. */
  forget(fromBytes: number, toBytes: number): void {
    this.#records = this.#records.filter(
      ({ offsetBytes, data }) => offsetBytes >= toBytes || offsetBytes + data.length <= fromBytes,
    )
  }

  /** What an opening has to put in place, in order; afterwards the journal is empty. */
  takeAll(): readonly RedoRecord[] {
    const records = this.#records
    this.#records = []
    return records.filter(record => !record.isInPlace)
  }
}
