import { HoldfastError } from '../../errors/holdfast-error.ts'
import { invariant } from '../../lib/invariant.ts'
import { Journal, type JournalFile } from './journal.ts'
import {
  CHECKPOINT_PAGES,
  CURSOR_PAGE,
  decodeCursor,
  decodeHeader,
  encodeCheckpoint,
  encodeHeader,
  JOURNAL_BYTES_MIN,
  JOURNAL_PAGE_BYTES,
  type JournalCheckpoint,
  type JournalRecord,
  RING_AT_BYTES,
} from './journal-format.ts'
import { latestCheckpoint, scanRecords } from './journal-scan.ts'

export interface JournalOpening {
  readonly brickUuid: string
  /** The machine's boot id: under another one the page cache's word for what was applied is void. */
  readonly bootId: string
  /** Every record that is live, whether or not its payload is in place already. Called before replay(). */
  found?(record: JournalRecord): void
  /** Puts a record's payload in place again; targets of volumes that are gone are passed over. */
  replay(record: JournalRecord, payload: Buffer): Promise<void>
  /** fdatasync of everything that records may have been applied to, by this process or the one before. */
  makeDurable(): Promise<void>
  /** See Journal. */
  makeRoom(): Promise<void>
}

export interface OpenedJournal {
  readonly journal: Journal
  readonly replayedRecords: number
}

/** Makes an empty journal in a file of exactly `sizeBytes`, durably but for its directory entry. */
export async function createJournal(file: JournalFile, sizeBytes: number, brickUuid: string): Promise<void> {
  invariant(sizeBytes >= JOURNAL_BYTES_MIN, 'a journal takes its largest record twice')
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  encodeHeader({ sizeBytes, brickUuid }, page)
  file.write(page, JOURNAL_PAGE_BYTES, 0)
  writeCheckpoint(file, { counter: 1, incarnation: 1, sequence: 1, ringPage: 0 })
  await file.sync()
}

/**
 * Replays what a crash left between journal and data, makes it durable, and starts the journal afresh.
 * Throws ERR_BRICK_FORMAT or ERR_BRICK_DAMAGED; a torn tail is no damage, it was never acknowledged.
 */
export async function openJournal(file: JournalFile, opening: JournalOpening): Promise<OpenedJournal> {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  file.read(page, 0)
  const header = decodeHeader(page, file.path)
  if (header.brickUuid !== opening.brickUuid) {
    throw new HoldfastError('ERR_BRICK_DAMAGED', `${file.path} belongs to brick ${header.brickUuid}`)
  }
  const read = (into: Buffer, atBytes: number) => file.read(into, atBytes)
  const checkpoint = latestCheckpoint(read)
  if (checkpoint === null) {
    throw new HoldfastError('ERR_BRICK_DAMAGED', `both checkpoints of ${file.path} fail their checksums`)
  }

  const ringPages = (header.sizeBytes - RING_AT_BYTES) / JOURNAL_PAGE_BYTES
  const appliedSequence = appliedUnderThisBoot(file, checkpoint, opening.bootId)
  let nextSequence = checkpoint.sequence
  let replayedRecords = 0
  for (const { record, payload } of scanRecords(read, ringPages, checkpoint)) {
    nextSequence = record.sequence + 1
    opening.found?.(record)
    if (record.sequence <= appliedSequence) continue
    await opening.replay(record, payload)
    replayedRecords++
  }
  if (nextSequence !== checkpoint.sequence) await opening.makeDurable()

  const fresh: JournalCheckpoint = {
    counter: checkpoint.counter + 1,
    incarnation: checkpoint.incarnation + 1,
    sequence: nextSequence,
    ringPage: 0,
  }
  writeCheckpoint(file, fresh)
  await file.sync()
  const state = {
    ringPages,
    incarnation: fresh.incarnation,
    checkpointCounter: fresh.counter,
    nextSequence,
    bootId: opening.bootId,
  }
  return { journal: new Journal(file, state, () => opening.makeRoom()), replayedRecords }
}

function writeCheckpoint(file: JournalFile, checkpoint: JournalCheckpoint): void {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  encodeCheckpoint(checkpoint, page)
  const copy = CHECKPOINT_PAGES[checkpoint.counter % CHECKPOINT_PAGES.length]!
  file.write(page, JOURNAL_PAGE_BYTES, copy * JOURNAL_PAGE_BYTES)
}

function appliedUnderThisBoot(file: JournalFile, checkpoint: JournalCheckpoint, bootId: string): number {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  file.read(page, CURSOR_PAGE * JOURNAL_PAGE_BYTES)
  const cursor = decodeCursor(page)
  const holds = cursor?.bootId === bootId && cursor.incarnation === checkpoint.incarnation
  return holds ? cursor.appliedSequence : 0
}
