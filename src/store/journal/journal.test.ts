import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../../lib/crc32c.ts'
import type { Journal, JournalFile, JournalWrite } from './journal.ts'
import {
  encodeRecord,
  JOURNAL_BYTES_MIN,
  JOURNAL_PAGE_BYTES,
  JOURNAL_PAYLOAD_BYTES_MAX,
  type JournalTarget,
  RING_AT_BYTES,
} from './journal-format.ts'
import { createJournal, openJournal } from './journal-open.ts'
import { JournalRing } from './journal-ring.ts'
import { scanRecords } from './journal-scan.ts'

const BRICK = '11111111-2222-3333-4444-555555555555'
const VOLUME = '01234567-89ab-cdef-0123-456789abcdef'
const PAGE = JOURNAL_PAGE_BYTES

/** A file with a page cache: what is not synced may be lost page by page. */
class MemoryFile implements JournalFile {
  readonly path = 'memory/journal'
  cached: Buffer
  durable: Buffer
  syncs = 0
  failSync = false
  hangs = false

  constructor(sizeBytes = JOURNAL_BYTES_MIN) {
    this.cached = Buffer.alloc(sizeBytes)
    this.durable = Buffer.alloc(sizeBytes)
  }

  read(into: Buffer, atBytes: number): void {
    this.cached.copy(into, 0, atBytes)
  }

  write(from: Buffer, lengthBytes: number, atBytes: number): void {
    from.copy(this.cached, atBytes, 0, lengthBytes)
  }

  async sync(): Promise<void> {
    this.syncs++
    const taken = Buffer.from(this.cached)
    await nextTurn()
    if (this.hangs) await new Promise(() => undefined)
    if (this.failSync) throw new Error('EIO: fdatasync')
    taken.copy(this.durable)
  }

  /** The machine loses its power: each page that is not durable is kept or not. */
  powerCut(keeps: (page: number) => boolean): void {
    for (let at = 0; at < this.cached.length; at += PAGE) {
      const cached = this.cached.subarray(at, at + PAGE)
      if (!keeps(at / PAGE)) this.durable.copy(cached, 0, at, at + PAGE)
      else cached.copy(this.durable, at)
    }
  }
}

const nextTurn = () => new Promise(resolve => setImmediate(resolve))

/** A volume of one byte per block, and what of it is durable. */
class Medium {
  blocks = new Map<number, number>()
  durable = new Map<number, number>()
  replayed: number[] = []

  apply(targets: readonly JournalTarget[], payload: Buffer): void {
    let at = 0
    for (const { offsetBytes, lengthBytes } of targets) {
      for (let done = 0; done < lengthBytes; done += PAGE) {
        this.blocks.set((offsetBytes + done) / PAGE, payload[at + done]!)
      }
      at += lengthBytes
    }
  }

  flush(): void {
    this.durable = new Map(this.blocks)
  }

  powerCut(): void {
    this.blocks = new Map(this.durable)
  }
}

async function open(file: MemoryFile, medium: Medium, bootId: string): Promise<Journal> {
  const opened = await openJournal(file, {
    brickUuid: BRICK,
    bootId,
    replay: async (record, payload) => {
      medium.replayed.push(record.sequence)
      medium.apply(record.targets, payload)
    },
    makeDurable: async () => medium.flush(),
    makeRoom: () => flush(opened.journal, medium),
  })
  return opened.journal
}

async function flush(journal: Journal, medium: Medium): Promise<void> {
  const applied = journal.appliedSequence
  medium.flush()
  await journal.advance(applied)
}

function write(journal: Journal, medium: Medium, blocks: readonly number[], value: number): Promise<void> {
  const payload = Buffer.alloc(blocks.length * PAGE, value)
  const targets = blocks.map(block => ({
    volume: VOLUME,
    layer: 0,
    extent: 0,
    offsetBytes: block * PAGE,
    lengthBytes: PAGE,
  }))
  return new Promise((resolve, reject) => {
    const one: JournalWrite = {
      targets,
      payload,
      applyJournalled: () => void medium.apply(targets, payload),
      journalDone: error => (error === null ? resolve() : reject(error)),
    }
    journal.append(one)
  })
}

async function fresh(): Promise<{ file: MemoryFile; medium: Medium; journal: Journal }> {
  const file = new MemoryFile()
  const medium = new Medium()
  await createJournal(file, file.cached.length, BRICK)
  return { file, medium, journal: await open(file, medium, BOOT_1) }
}

const BOOT_1 = 'aaaaaaaa-0000-0000-0000-000000000001'
const BOOT_2 = 'aaaaaaaa-0000-0000-0000-000000000002'

test('journal: cut at any byte, a run of records leaves a clean prefix of whole records', () => {
  const ringPages = 8
  const image = Buffer.alloc(RING_AT_BYTES + ringPages * PAGE)
  const ends: number[] = []
  let at = RING_AT_BYTES
  for (let sequence = 1; sequence <= 3; sequence++) {
    const payload = Buffer.alloc(sequence === 2 ? 2 * PAGE : PAGE, sequence)
    const targets = [{ volume: VOLUME, layer: 0, extent: 0, offsetBytes: 0, lengthBytes: payload.length }]
    const fields = { incarnation: 1, sequence, payloadBytes: payload.length, payloadCrc: crc32c(payload) }
    encodeRecord({ ...fields, targets }, image.subarray(at, at + PAGE))
    payload.copy(image, at + PAGE)
    at += PAGE + payload.length
    ends.push(at)
  }
  const checkpoint = { counter: 1, incarnation: 1, sequence: 1, ringPage: 0 }
  const torn = Buffer.alloc(image.length, 0xa5)
  for (let cut = RING_AT_BYTES; cut <= at; cut++) {
    const read = (into: Buffer, from: number) => void torn.copy(into, 0, from)
    const sequences = [...scanRecords(read, ringPages, checkpoint)].map(({ record }) => record.sequence)
    const whole = ends.filter(end => end <= cut).length
    if (sequences.length !== whole) expect({ cut, sequences }).toEqual({ cut, whole })
    image.copy(torn, cut, cut, cut + 1)
  }
})

test('journal: records that wrap at the end of the ring are found in order', () => {
  const ring = new JournalRing(10)
  expect(ring.append(1, 4)).toBe(0)
  expect(ring.append(2, 4)).toBe(4)
  expect(ring.append(3, 4)).toBeNull()
  ring.release(1)
  expect(ring.append(3, 4)).toBe(0)
  expect(ring.append(4, 1)).toBeNull()
  ring.release(3)
  expect(ring.isEmpty).toBe(true)
  expect(ring.append(4, 6)).toBe(4)
})

test('journal: a write that was acknowledged survives a power cut that loses everything unsynced', async () => {
  const { file, medium, journal } = await fresh()
  await write(journal, medium, [1, 2, 3], 7)
  file.powerCut(() => false)
  medium.powerCut()
  await open(file, medium, BOOT_2)
  expect([...medium.blocks]).toEqual([
    [1, 7],
    [2, 7],
    [3, 7],
  ])
})

test('journal: a replay never brings back data older than what was flushed', async () => {
  const { file, medium, journal } = await fresh()
  await write(journal, medium, [1], 1)
  medium.blocks.set(1, 2)
  await flush(journal, medium)
  file.powerCut(() => false)
  medium.powerCut()
  await open(file, medium, BOOT_2)
  expect(medium.blocks.get(1)).toBe(2)
  expect(medium.replayed).toEqual([])
})

test('journal: after a kill a newer write that was never flushed stays in place', async () => {
  const { file, medium, journal } = await fresh()
  await write(journal, medium, [1], 1)
  medium.blocks.set(1, 2)
  await open(file, medium, BOOT_1)
  expect(medium.blocks.get(1)).toBe(2)
  expect(medium.replayed).toEqual([])
})

test('journal: after a kill between commit and apply the write is replayed', async () => {
  const { file, medium, journal } = await fresh()
  await write(journal, medium, [1], 1)
  file.hangs = true
  void write(journal, medium, [1, 2], 9)
  await nextTurn()
  expect(medium.blocks.has(2)).toBe(false)
  const killed = new MemoryFile()
  file.cached.copy(killed.cached)
  await open(killed, medium, BOOT_1)
  expect(medium.replayed).toEqual([2])
  expect(medium.blocks.get(2)).toBe(9)
})

test('journal: writes that arrive during a commit share the next one', async () => {
  const { file, medium, journal } = await fresh()
  const before = file.syncs
  await Promise.all(Array.from({ length: 64 }, (_, block) => write(journal, medium, [block], block)))
  expect(file.syncs - before).toBe(2)
  expect(medium.blocks.size).toBe(64)
})

test('journal: a full ring forces a checkpoint and goes on', async () => {
  const { file, medium, journal } = await fresh()
  const blocks = Array.from({ length: 100 }, (_, block) => block)
  for (let value = 1; value <= 30; value++) await write(journal, medium, blocks, value)
  expect(medium.durable.get(0)).toBeGreaterThan(1)
  file.powerCut(() => false)
  medium.powerCut()
  await open(file, medium, BOOT_2)
  expect(new Set(medium.blocks.values())).toEqual(new Set([30]))
  expect(medium.replayed.at(-1)).toBe(30)
})

test('journal: a failed sync fails this write and every later one, and the flush', async () => {
  const { file, medium, journal } = await fresh()
  await write(journal, medium, [1], 1)
  file.failSync = true
  await expect(write(journal, medium, [2], 1)).rejects.toThrow('EIO: fdatasync')
  file.failSync = false
  await expect(write(journal, medium, [3], 1)).rejects.toThrow('EIO: fdatasync')
  await expect(flush(journal, medium)).rejects.toThrow('EIO: fdatasync')
  expect(medium.blocks.has(3)).toBe(false)
})

test('journal: another brick and a lost checkpoint are refused by name', async () => {
  const { file, medium } = await fresh()
  file.cached.fill(0, PAGE, 2 * PAGE)
  await open(file, medium, BOOT_1)
  file.cached.fill(0, PAGE, 3 * PAGE)
  await expect(open(file, medium, BOOT_1)).rejects.toThrow('both checkpoints of memory/journal')
  const other = new MemoryFile()
  await createJournal(other, other.cached.length, VOLUME)
  await expect(open(other, medium, BOOT_1)).rejects.toThrow(`belongs to brick ${VOLUME}`)
})

const step = fc.oneof(
  fc.record({
    kind: fc.constant('journal' as const),
    blocks: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }),
  }),
  fc.record({ kind: fc.constant('big' as const), blocks: fc.constant([]) }),
  fc.record({
    kind: fc.constant('plain' as const),
    blocks: fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('flush' as const), blocks: fc.constant([]) }),
)

test('journal: whatever ran before it, a power cut leaves every block old enough and new enough', async () => {
  const runs = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 25 }),
    fc.integer(),
    async (steps, keepSeed) => {
      const { file, medium, journal } = await fresh()
      const floor = new Map<number, number>()
      let value = 0
      for (const { kind, blocks } of steps) {
        value++
        if (kind === 'journal') {
          await write(journal, medium, blocks, value)
          for (const block of blocks) floor.set(block, value)
        } else if (kind === 'big') {
          const pages = JOURNAL_PAYLOAD_BYTES_MAX / PAGE / 4
          const run = { volume: VOLUME, layer: 0, extent: 0, offsetBytes: 2 ** 25, lengthBytes: pages * PAGE }
          await new Promise<void>(resolve => {
            journal.append({
              targets: [run],
              payload: Buffer.alloc(run.lengthBytes),
              applyJournalled: () => undefined,
              journalDone: () => resolve(),
            })
          })
        } else if (kind === 'plain') {
          for (const block of blocks) medium.blocks.set(block, value)
        } else {
          await flush(journal, medium)
          for (const [block, newest] of medium.blocks) floor.set(block, newest)
        }
      }
      const newest = new Map(medium.blocks)
      file.powerCut(page => (Math.imul(page + 1, keepSeed) & 64) !== 0)
      medium.powerCut()
      await open(file, medium, BOOT_2)
      for (const [block, least] of floor) {
        expect(medium.blocks.get(block)).toBeGreaterThanOrEqual(least)
        expect(medium.blocks.get(block)).toBeLessThanOrEqual(newest.get(block)!)
      }
    },
  )
  await fc.assert(runs, { numRuns: 60 })
})
