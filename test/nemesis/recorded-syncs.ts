import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { parseLog, RecordKind } from '../crash/record-log.ts'

/** Syncs of one file that began in a stretch of a recorder's log, and those of them that succeeded in it. */
export interface Syncs {
  readonly begun: number
  readonly done: number
}

/** From byte `from` to byte `to` of the log. An entry is there before the call that it tells of returns. */
export function recordedSyncs(log: string, from: number, to: number, file: string): Syncs {
  const { ino } = statSync(file)
  const entries = parseLog(readPart(log, from, to)).filter(({ inode }) => inode === ino)
  const began = entries.findIndex(({ kind }) => kind === RecordKind.syncBegin)
  // What ended without having begun here may have missed what was written before.
  const whole = began < 0 ? [] : entries.slice(began)
  const count = (kind: RecordKind) => whole.filter(entry => entry.kind === kind).length
  return { begun: count(RecordKind.syncBegin), done: count(RecordKind.syncEnd) }
}

function readPart(path: string, from: number, to: number): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(to - from)
    readSync(file, bytes, 0, bytes.length, from)
    return bytes
  } finally {
    closeSync(file)
  }
}
