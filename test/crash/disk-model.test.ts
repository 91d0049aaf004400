import { expect, test } from 'vitest'
import { everythingSurvives } from './disk-image.ts'
import { type CrashedDisk, DiskModel } from './disk-model.ts'
import { PAGE_BYTES } from './file-model.ts'
import { type RecordEntry, RecordKind } from './record-log.ts'

const NOTHING_SURVIVES = { survivors: () => 0 }
const FIRST_ONLY = { survivors: (count: number) => Math.min(count, 1) }
const KEEP_SIZE_AND_PUNCH = 3

function entry(kind: RecordKind, fields: Partial<RecordEntry>): RecordEntry {
  return { kind, flags: 0, inode: 7, offset: 0, length: 0, thread: 1, payload: Buffer.alloc(0), ...fields }
}

const create = entry(RecordKind.create, { payload: Buffer.from('/b/file') })
const syncBegin = entry(RecordKind.syncBegin, {})
const syncEnd = entry(RecordKind.syncEnd, {})
const directory = { inode: 1, payload: Buffer.from('/b') }
const syncDirectory = [entry(RecordKind.syncBegin, directory), entry(RecordKind.syncEnd, directory)]

function write(page: number, pages: number, value: number, flags = 0): RecordEntry {
  const payload = Buffer.alloc(pages * PAGE_BYTES, value)
  return entry(RecordKind.write, { offset: page * PAGE_BYTES, payload, flags })
}

function disk(entries: readonly RecordEntry[]): DiskModel {
  const model = new DiskModel('/b')
  for (const one of entries) model.step(one)
  return model
}

/** The first byte of each page of the only file, or null without it. */
function pagesOf(crashed: CrashedDisk): number[] | null {
  const file = crashed.files[0]
  if (file === undefined) return null
  return Array.from({ length: file.sizeBytes / PAGE_BYTES }, (_, page) => file.pages.get(page)?.[0] ?? 0)
}

test('disk model: a file whose directory was not synced may be gone', () => {
  const model = disk([create, write(0, 1, 1), syncBegin, syncEnd])
  expect(pagesOf(model.crash(NOTHING_SURVIVES))).toBeNull()
  expect(pagesOf(model.crash(everythingSurvives))).toEqual([1])
})

test('disk model: what was synced stays, what came after may go page by page', () => {
  const model = disk([
    create,
    ...syncDirectory,
    write(0, 2, 1),
    syncBegin,
    syncEnd,
    write(1, 2, 2),
    write(1, 1, 3),
  ])
  expect(pagesOf(model.crash(NOTHING_SURVIVES))).toEqual([1, 1])
  expect(pagesOf(model.crash(FIRST_ONLY))).toEqual([1, 2, 2])
  expect(pagesOf(model.crash(everythingSurvives))).toEqual([1, 3, 2])
})

test('disk model: a sync covers what was written before it began, not before it ended', () => {
  const model = disk([create, ...syncDirectory, write(0, 1, 1), syncBegin, write(0, 1, 2), syncEnd])
  expect(pagesOf(model.crash(NOTHING_SURVIVES))).toEqual([1])
})

test('disk model: a write through O_DSYNC needs no sync', () => {
  const model = disk([create, ...syncDirectory, write(0, 1, 1, 1)])
  expect(pagesOf(model.crash(NOTHING_SURVIVES))).toEqual([1])
})

test('disk model: a hole may be made, or not, and a later write may fill it', () => {
  const punch = entry(RecordKind.fallocate, { flags: KEEP_SIZE_AND_PUNCH, offset: 0, length: 2 * PAGE_BYTES })
  const model = disk([create, ...syncDirectory, write(0, 2, 1), syncBegin, syncEnd, punch, write(1, 1, 4)])
  expect(pagesOf(model.crash(NOTHING_SURVIVES))).toEqual([1, 1])
  expect(pagesOf(model.crash(FIRST_ONLY))).toEqual([0, 0])
  expect(pagesOf(model.crash(everythingSurvives))).toEqual([0, 4])
})

test('disk model: a rename without its directory synced leaves the old name', () => {
  const rename = entry(RecordKind.rename, { payload: Buffer.from('/b/file\0/b/other') })
  const model = disk([create, ...syncDirectory, rename])
  expect(model.crash(NOTHING_SURVIVES).files.map(({ path }) => path)).toEqual(['file'])
  expect(model.crash(everythingSurvives).files.map(({ path }) => path)).toEqual(['other'])
})
