import { crc32c } from '../../lib/crc32c.ts'
import {
  CHECKPOINT_PAGES,
  decodeCheckpoint,
  decodeRecord,
  JOURNAL_PAGE_BYTES,
  type JournalCheckpoint,
  type JournalRecord,
  RING_AT_BYTES,
  recordPages,
} from './journal-format.ts'

/** Fills the whole of `into` with what the journal holds at a byte offset. */
export type ReadJournal = (into: Buffer, atBytes: number) => void

export interface ScannedRecord {
  readonly record: JournalRecord
  /** Valid until the next one is asked for. */
  readonly payload: Buffer
  readonly ringPage: number
}

/** The newer of the two copies that are whole, or null when neither is. */
export function latestCheckpoint(read: ReadJournal): JournalCheckpoint | null {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  let latest: JournalCheckpoint | null = null
  for (const at of CHECKPOINT_PAGES) {
    read(page, at * JOURNAL_PAGE_BYTES)
    const copy = decodeCheckpoint(page)
    if (copy !== null && (latest === null || copy.counter > latest.counter)) latest = copy
  }
  return latest
}

/**
 * The whole records from a checkpoint on, in order. Ends at the first that is missing, torn or of another
 * incarnation: a record is only begun when the one before it is durable, so nothing acknowledged follows.
 */
export function* scanRecords(
  read: ReadJournal,
  ringPages: number,
  checkpoint: JournalCheckpoint,
): Generator<ScannedRecord> {
  let at = checkpoint.ringPage
  let sequence = checkpoint.sequence
  for (let passedPages = 0; passedPages < ringPages; ) {
    const expected = { incarnation: checkpoint.incarnation, sequence }
    let next = readRecord(read, ringPages, at, expected)
    if (next === null) {
      // A record that did not fit before the end of the ring begins at its start.
      next = readRecord(read, ringPages, 0, expected)
      passedPages += ringPages - at
    }
    if (next === null) return
    yield next
    const pages = recordPages(next.record.payloadBytes)
    passedPages += pages
    at = next.ringPage + pages
    sequence++
  }
}

function readRecord(
  read: ReadJournal,
  ringPages: number,
  ringPage: number,
  expected: Pick<JournalRecord, 'incarnation' | 'sequence'>,
): ScannedRecord | null {
  if (ringPage >= ringPages) return null
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  const atBytes = RING_AT_BYTES + ringPage * JOURNAL_PAGE_BYTES
  read(page, atBytes)
  const record = decodeRecord(page)
  if (record?.incarnation !== expected.incarnation || record.sequence !== expected.sequence) return null
  if (ringPage + recordPages(record.payloadBytes) > ringPages) return null
  const payload = Buffer.alloc(record.payloadBytes)
  read(payload, atBytes + JOURNAL_PAGE_BYTES)
  return crc32c(payload) === record.payloadCrc ? { record, payload, ringPage } : null
}
