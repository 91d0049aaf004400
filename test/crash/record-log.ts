import { invariant } from '../../src/lib/invariant.ts'

/** The kinds of recorder.c, in its order. */
export const RecordKind = {
  create: 1,
  mkdir: 2,
  write: 3,
  truncate: 4,
  fallocate: 5,
  syncBegin: 6,
  syncEnd: 7,
  rename: 8,
  unlink: 9,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

export interface RecordEntry {
  readonly kind: RecordKind
  /** fallocate: its mode; write: 1 when the file was open with O_DSYNC. */
  readonly flags: number
  readonly inode: number
  readonly offset: number
  readonly length: number
  readonly thread: number
  /** Bytes written, or a path (syncs have one for a directory only), or two with a NUL between. */
  readonly payload: Buffer
}

const ENTRY_BYTES = 40

export function parseLog(log: Buffer): RecordEntry[] {
  const entries: RecordEntry[] = []
  for (let at = 0; at < log.length; ) {
    const payloadBytes = log.readUInt32LE(at + 36)
    const payloadAt = at + ENTRY_BYTES
    invariant(payloadAt + payloadBytes <= log.length, 'the recorder wrote whole entries')
    entries.push({
      kind: log.readUInt32LE(at) as RecordKind,
      flags: log.readUInt32LE(at + 4),
      inode: Number(log.readBigUInt64LE(at + 8)),
      offset: Number(log.readBigUInt64LE(at + 16)),
      length: Number(log.readBigUInt64LE(at + 24)),
      thread: log.readUInt32LE(at + 32),
      payload: log.subarray(payloadAt, payloadAt + payloadBytes),
    })
    at = payloadAt + payloadBytes
  }
  return entries
}
