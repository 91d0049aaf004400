import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { chanceSurvives, writeImage } from './disk-image.ts'
import { DiskModel } from './disk-model.ts'
import { marksInode } from './marks.ts'
import { seeded } from './random.ts'
import { parseLog } from './record-log.ts'

/** A position of an earlier record: where its power was cut. */
export interface CrashedStart {
  readonly log: string
  readonly root: string
  readonly cut: number
  readonly seed: number
}

/** Makes the brick and the marks below `root` what a power cut left of an earlier run, durably. */
export function restoreCrashed(start: CrashedStart, root: string, marks: number): void {
  const entries = parseLog(readFileSync(start.log)).slice(0, start.cut)
  const inode = marksInode(entries, start.root)
  const disk = new DiskModel(join(start.root, 'brick'))
  for (const entry of entries) {
    if (entry.inode !== inode) disk.step(entry)
    else if (entry.payload.length > 0) writeMarks(marks, entry.payload)
  }
  const crashed = disk.crash(chanceSurvives(seeded(start.seed)))
  const brick = join(root, 'brick')
  writeImage(crashed, brick)
  const made = [...crashed.files.map(({ path }) => path), ...crashed.directories, '.']
  for (const path of made) {
    const fd = openSync(join(brick, path), 'r')
    fsyncSync(fd)
    closeSync(fd)
  }
}

// The entry that made the file carries its path, not marks.
function writeMarks(marks: number, payload: Buffer): void {
  if (payload[0] === '{'.charCodeAt(0)) writeSync(marks, payload)
}
