import { existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mark } from './history.ts'
import { type RecordEntry, RecordKind } from './record-log.ts'

export function openMarks(root: string): number {
  return openSync(join(root, 'marks'), 'a')
}

/** The marks of all workloads that ran below `root`, the killed ones' too: a mark is one write, whole or not there. */
export function readMarks(root: string): Mark[] {
  const path = join(root, 'marks')
  if (!existsSync(path)) return []
  return parseMarks(readFileSync(path, 'utf8'))
}

export function parseMarks(text: string): Mark[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Mark)
}

/** The inode of the file of marks of a run that was recorded below `root`. */
export function marksInode(entries: readonly RecordEntry[], root: string): number {
  const path = join(root, 'marks')
  const made = entries.find(({ kind, payload }) => kind === RecordKind.create && payload.toString() === path)
  if (made === undefined) throw new Error(`the record never saw ${path}`)
  return made.inode
}
