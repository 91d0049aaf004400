import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { everythingSurvives } from './disk-image.ts'
import { type CrashedFile, DiskModel } from './disk-model.ts'
import { PAGE_BYTES } from './file-model.ts'
import { parseLog } from './record-log.ts'

/** LMDB's reader table is shared memory: it is not written, and worth nothing after a crash. */
const MAPPED = /lock\.mdb$|-lock$/

const ZEROES = Buffer.alloc(PAGE_BYTES)
/** Of longer files only the pages that the record has are looked at. */
const WHOLE_BYTES_MAX = 512 * 1024 * 1024

/** Where the files of a recorded run differ from what its record makes of them; empty when nothing escaped it. */
export function compareWithRecord(root: string, log: Buffer): string[] {
  const disk = new DiskModel(root)
  for (const entry of parseLog(log)) disk.step(entry)
  const recorded = disk.crash(everythingSurvives).files.filter(({ path }) => !MAPPED.test(path))
  const known = new Set(recorded.map(({ path }) => path))
  const unknown = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    path => !MAPPED.test(path) && !known.has(path) && statSync(join(root, path)).isFile(),
  )
  return [
    ...unknown.map(path => `${path} is not in the record`),
    ...recorded.flatMap(file => compare(root, file)),
  ]
}

function compare(root: string, { path, sizeBytes, pages }: CrashedFile): string[] {
  const differences: string[] = []
  const fd = openSync(join(root, path), 'r')
  try {
    const nowBytes = fstatSync(fd).size
    if (nowBytes !== sizeBytes) differences.push(`${path} has ${nowBytes} bytes, not ${sizeBytes}`)
    const isWhole = nowBytes <= WHOLE_BYTES_MAX
    const numbers = isWhole ? Array(Math.ceil(nowBytes / PAGE_BYTES)).keys() : pages.keys()
    const now = Buffer.alloc(PAGE_BYTES)
    for (const page of numbers) {
      const length = readSync(fd, now, 0, PAGE_BYTES, page * PAGE_BYTES)
      const then = pages.get(page) ?? ZEROES
      if (now.compare(then, 0, length, 0, length) !== 0) differences.push(`${path} differs in page ${page}`)
    }
  } finally {
    closeSync(fd)
  }
  return differences
}
