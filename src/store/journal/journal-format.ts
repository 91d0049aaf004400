import { ATOMIC_WRITE_BYTES_MAX } from '../../block/block-operation.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { crc32c } from '../../lib/crc32c.ts'
import { invariant } from '../../lib/invariant.ts'

/**
 * Layout of the redo journal, format 1 (docs/design/001-brick-format.md). Little endian, in 4 KiB pages:
 * page 0 the header, pages 1 and 2 two copies of the checkpoint, page 3 the applied cursor, then the ring.
 * Every page but a record's payload ends in the CRC32C of the rest of it.
 */
export const JOURNAL_VERSION = 1
export const JOURNAL_PAGE_BYTES = 4096
/** What a new brick gives its journal. */
export const JOURNAL_BYTES_DEFAULT = 64 * 1024 * 1024
/** Largest payload of one record: bounds the buffer that commits share, and the largest atomic write. */
export const JOURNAL_PAYLOAD_BYTES_MAX = ATOMIC_WRITE_BYTES_MAX
export const RING_AT_BYTES = 4 * JOURNAL_PAGE_BYTES
/** A ring must take the largest record twice: one being written while the one before is checkpointed. */
export const JOURNAL_BYTES_MIN = RING_AT_BYTES + 2 * (JOURNAL_PAYLOAD_BYTES_MAX + JOURNAL_PAGE_BYTES)

export const CHECKPOINT_PAGES = [1, 2] as const
export const CURSOR_PAGE = 3

const HEADER_MAGIC = 'HFJOURNL'
const CHECKPOINT_MAGIC = 'HFCHECKP'
const CURSOR_MAGIC = 'HFCURSOR'
const RECORD_MAGIC = 'HFRECORD'

const CRC_AT = JOURNAL_PAGE_BYTES - 4
const UUID_BYTES = 16
/** Sequence numbers and page counts are 48 bits wide in 8 byte fields. */
const WIDE_BYTES = 6

const PAGE_AT = { magic: 0, version: 8 } as const
const HEADER_AT = { sizeBytes: 16, brickUuid: 24 } as const
const CHECKPOINT_AT = { counter: 16, incarnation: 24, sequence: 32, ringPage: 40 } as const
const CURSOR_AT = { incarnation: 16, appliedSequence: 24, bootId: 32 } as const
const RECORD_AT = {
  incarnation: 16,
  sequence: 24,
  payloadBytes: 32,
  payloadCrc: 36,
  targetCount: 40,
  targets: 64,
} as const
const TARGET_AT = { volume: 0, layer: 16, extent: 20, offsetBytes: 24, lengthBytes: 28 } as const
const TARGET_BYTES = 32
export const JOURNAL_TARGETS_MAX = Math.floor((CRC_AT - RECORD_AT.targets) / TARGET_BYTES)

/** Where one run of a record's payload belongs. Offset and length are bytes within the 64 MiB extent. */
export interface JournalTarget {
  readonly volume: string
  readonly layer: number
  readonly extent: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface JournalHeader {
  readonly sizeBytes: number
  readonly brickUuid: string
}

export interface JournalCheckpoint {
  /** Raised by one with each checkpoint; its parity picks the copy, so that a torn one leaves the other. */
  readonly counter: number
  /** Raised by one with each open: records of an earlier one are never taken for live. */
  readonly incarnation: number
  /** The first record to replay, and the page of the ring where it begins or would begin. */
  readonly sequence: number
  readonly ringPage: number
}

/** In the page cache only: what a process that was killed had applied. Void under another boot id. */
export interface JournalCursor {
  readonly incarnation: number
  readonly appliedSequence: number
  readonly bootId: string
}

export interface JournalRecord {
  readonly incarnation: number
  readonly sequence: number
  readonly payloadBytes: number
  readonly payloadCrc: number
  readonly targets: readonly JournalTarget[]
}

export function recordPages(payloadBytes: number): number {
  return 1 + Math.ceil(payloadBytes / JOURNAL_PAGE_BYTES)
}

export function encodeHeader(header: JournalHeader, page: Buffer): void {
  begin(page, HEADER_MAGIC)
  page.writeUIntLE(header.sizeBytes, HEADER_AT.sizeBytes, WIDE_BYTES)
  writeUuid(page, HEADER_AT.brickUuid, header.brickUuid)
  seal(page)
}

/** Throws ERR_BRICK_FORMAT for a version of the future and ERR_BRICK_DAMAGED for anything but a header. */
export function decodeHeader(page: Buffer, path: string): JournalHeader {
  if (page.toString('latin1', PAGE_AT.magic, PAGE_AT.version) !== HEADER_MAGIC) {
    throw new HoldfastError('ERR_BRICK_DAMAGED', `${path} is not a journal`)
  }
  const version = page.readUInt32LE(PAGE_AT.version)
  if (version > JOURNAL_VERSION) {
    throw new HoldfastError(
      'ERR_BRICK_FORMAT',
      `${path} has format ${version}, this version knows format ${JOURNAL_VERSION}`,
    )
  }
  if (!isSealed(page))
    throw new HoldfastError('ERR_BRICK_DAMAGED', `the header of ${path} fails its checksum`)
  return {
    sizeBytes: page.readUIntLE(HEADER_AT.sizeBytes, WIDE_BYTES),
    brickUuid: readUuid(page, HEADER_AT.brickUuid),
  }
}

export function encodeCheckpoint(checkpoint: JournalCheckpoint, page: Buffer): void {
  begin(page, CHECKPOINT_MAGIC)
  page.writeUIntLE(checkpoint.counter, CHECKPOINT_AT.counter, WIDE_BYTES)
  page.writeUIntLE(checkpoint.incarnation, CHECKPOINT_AT.incarnation, WIDE_BYTES)
  page.writeUIntLE(checkpoint.sequence, CHECKPOINT_AT.sequence, WIDE_BYTES)
  page.writeUIntLE(checkpoint.ringPage, CHECKPOINT_AT.ringPage, WIDE_BYTES)
  seal(page)
}

export function decodeCheckpoint(page: Buffer): JournalCheckpoint | null {
  if (!isPage(page, CHECKPOINT_MAGIC)) return null
  return {
    counter: page.readUIntLE(CHECKPOINT_AT.counter, WIDE_BYTES),
    incarnation: page.readUIntLE(CHECKPOINT_AT.incarnation, WIDE_BYTES),
    sequence: page.readUIntLE(CHECKPOINT_AT.sequence, WIDE_BYTES),
    ringPage: page.readUIntLE(CHECKPOINT_AT.ringPage, WIDE_BYTES),
  }
}

export function encodeCursor(cursor: JournalCursor, page: Buffer): void {
  begin(page, CURSOR_MAGIC)
  page.writeUIntLE(cursor.incarnation, CURSOR_AT.incarnation, WIDE_BYTES)
  page.writeUIntLE(cursor.appliedSequence, CURSOR_AT.appliedSequence, WIDE_BYTES)
  writeUuid(page, CURSOR_AT.bootId, cursor.bootId)
  seal(page)
}

export function decodeCursor(page: Buffer): JournalCursor | null {
  if (!isPage(page, CURSOR_MAGIC)) return null
  return {
    incarnation: page.readUIntLE(CURSOR_AT.incarnation, WIDE_BYTES),
    appliedSequence: page.readUIntLE(CURSOR_AT.appliedSequence, WIDE_BYTES),
    bootId: readUuid(page, CURSOR_AT.bootId),
  }
}

export function encodeRecord(record: JournalRecord, page: Buffer): void {
  invariant(record.targets.length <= JOURNAL_TARGETS_MAX, 'a journal record has room for its targets')
  begin(page, RECORD_MAGIC)
  page.writeUIntLE(record.incarnation, RECORD_AT.incarnation, WIDE_BYTES)
  page.writeUIntLE(record.sequence, RECORD_AT.sequence, WIDE_BYTES)
  page.writeUInt32LE(record.payloadBytes, RECORD_AT.payloadBytes)
  page.writeUInt32LE(record.payloadCrc, RECORD_AT.payloadCrc)
  page.writeUInt32LE(record.targets.length, RECORD_AT.targetCount)
  let at: number = RECORD_AT.targets
  for (const target of record.targets) {
    writeUuid(page, at + TARGET_AT.volume, target.volume)
    page.writeUInt32LE(target.layer, at + TARGET_AT.layer)
    page.writeUInt32LE(target.extent, at + TARGET_AT.extent)
    page.writeUInt32LE(target.offsetBytes, at + TARGET_AT.offsetBytes)
    page.writeUInt32LE(target.lengthBytes, at + TARGET_AT.lengthBytes)
    at += TARGET_BYTES
  }
  seal(page)
}

/** Null for anything but a whole record header: the caller has then reached the torn or unwritten tail. */
export function decodeRecord(page: Buffer): JournalRecord | null {
  if (!isPage(page, RECORD_MAGIC)) return null
  const targetCount = page.readUInt32LE(RECORD_AT.targetCount)
  const payloadBytes = page.readUInt32LE(RECORD_AT.payloadBytes)
  if (targetCount > JOURNAL_TARGETS_MAX || payloadBytes > JOURNAL_PAYLOAD_BYTES_MAX) return null
  const targets: JournalTarget[] = []
  let sumBytes = 0
  for (let at: number = RECORD_AT.targets; targets.length < targetCount; at += TARGET_BYTES) {
    const lengthBytes = page.readUInt32LE(at + TARGET_AT.lengthBytes)
    sumBytes += lengthBytes
    targets.push({
      volume: readUuid(page, at + TARGET_AT.volume),
      layer: page.readUInt32LE(at + TARGET_AT.layer),
      extent: page.readUInt32LE(at + TARGET_AT.extent),
      offsetBytes: page.readUInt32LE(at + TARGET_AT.offsetBytes),
      lengthBytes,
    })
  }
  if (sumBytes !== payloadBytes) return null
  return {
    incarnation: page.readUIntLE(RECORD_AT.incarnation, WIDE_BYTES),
    sequence: page.readUIntLE(RECORD_AT.sequence, WIDE_BYTES),
    payloadBytes,
    payloadCrc: page.readUInt32LE(RECORD_AT.payloadCrc),
    targets,
  }
}

function begin(page: Buffer, magic: string): void {
  page.fill(0, 0, JOURNAL_PAGE_BYTES)
  page.write(magic, PAGE_AT.magic, 'latin1')
  page.writeUInt32LE(JOURNAL_VERSION, PAGE_AT.version)
}

function seal(page: Buffer): void {
  page.writeUInt32LE(crc32c(page, 0, CRC_AT), CRC_AT)
}

function isSealed(page: Buffer): boolean {
  return page.readUInt32LE(CRC_AT) === crc32c(page, 0, CRC_AT)
}

function isPage(page: Buffer, magic: string): boolean {
  return (
    page.toString('latin1', PAGE_AT.magic, PAGE_AT.version) === magic &&
    page.readUInt32LE(PAGE_AT.version) === JOURNAL_VERSION &&
    isSealed(page)
  )
}

function writeUuid(page: Buffer, at: number, uuid: string): void {
  const written = page.write(uuid.replaceAll('-', ''), at, UUID_BYTES, 'hex')
  invariant(written === UUID_BYTES, `'${uuid}' is a UUID`)
}

function readUuid(page: Buffer, at: number): string {
  const hex = page.toString('hex', at, at + UUID_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
