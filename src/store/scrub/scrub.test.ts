import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { crc32c } from '../../lib/crc32c.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_SEGMENT,
  entryOf,
  KNOWN_ZERO,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  SEGMENT_BYTES,
} from '../layout.ts'
import { Scrub, type ScrubClock, type ScrubSource } from './scrub.ts'
import { DirectReader, type ScrubPiece } from './scrub-read.ts'
import { type ScrubReader, startScrubReader } from './scrub-reader.ts'

let directory: string
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-scrub-'))
})
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }))

/** A slot in a file of its own, of which the first two segments are looked at. */
class Disk implements ScrubSource {
  readonly path = path.join(directory, 'data')
  readonly allocated = new Set<number>()
  readonly doubtful = new Set<number>()
  readonly bad: number[] = []
  readonly settled: number[] = []
  readonly checksums = [new Uint32Array(BLOCKS_PER_SEGMENT), new Uint32Array(BLOCKS_PER_SEGMENT)]

  constructor() {
    fs.writeFileSync(this.path, '')
    fs.truncateSync(this.path, 2 * SEGMENT_BYTES)
  }

  write(block: number, value: number): void {
    this.overwrite(block, value)
    const entry = entryOf(crc32c(Buffer.alloc(BLOCK_BYTES, value)))
    this.checksums[Math.floor(block / BLOCKS_PER_SEGMENT)]![block % BLOCKS_PER_SEGMENT] = entry
    this.allocated.add(Math.floor((block * BLOCK_BYTES) / REGION_BYTES))
  }

  overwrite(block: number, value: number): void {
    const fd = fs.openSync(this.path, 'r+')
    fs.writeSync(fd, Buffer.alloc(BLOCK_BYTES, value), 0, BLOCK_BYTES, block * BLOCK_BYTES)
    fs.fsyncSync(fd)
    fs.closeSync(fd)
  }

  slots(): number[] {
    return [0]
  }

  isRegionAllocated(_slot: number, region: number): boolean {
    return this.allocated.has(region)
  }

  locate(): { path: string; offsetBytes: number } {
    return { path: this.path, offsetBytes: 0 }
  }

  async entries(_slot: number, segment: number): Promise<Uint32Array | null> {
    return this.checksums[segment] ?? null
  }

  isInDoubt(_slot: number, segment: number): boolean {
    return this.doubtful.has(segment)
  }

  async settle(_slot: number, segment: number, block: number): Promise<void> {
    this.settled.push(segment * BLOCKS_PER_SEGMENT + block)
  }

  doubtEnds(_slot: number, segment: number): void {
    this.doubtful.delete(segment)
  }

  foundBad(_slot: number, segment: number, block: number): void {
    this.bad.push(segment * BLOCKS_PER_SEGMENT + block)
  }
}

/** Sleeping takes no time but moves the clock. */
class FakeClock implements ScrubClock {
  ms = 0

  nowMs(): number {
    return this.ms
  }

  async sleep(ms: number): Promise<void> {
    this.ms += ms
  }
}

class DirectScrubReader implements ScrubReader {
  readonly #reader = new DirectReader()
  readonly pieces: ScrubPiece[] = []
  before: (piece: ScrubPiece) => void = () => undefined

  async read(piece: ScrubPiece): Promise<Uint32Array> {
    this.pieces.push(piece)
    this.before(piece)
    return this.#reader.entries(piece)
  }

  async close(): Promise<void> {
    this.#reader.close()
  }
}

const FAST = 2 ** 40

test('scrub: a flipped bit is found, and nothing else', async () => {
  const disk = new Disk()
  for (const block of [0, 1, 63, 64, 1023, 1024, 1500]) disk.write(block, block % 251)
  disk.overwrite(63, 1)
  const scrub = new Scrub(disk, new DirectScrubReader(), new FakeClock(), FAST)
  await scrub.run()
  expect(disk.bad).toEqual([63])
  expect(scrub.progress).toMatchObject({ badBlocks: 1, settledBlocks: 0 })
  expect(scrub.progress.checkedBytes).toBe(disk.allocated.size * REGION_BYTES)
  expect(scrub.progress.totalBytes).toBe(scrub.progress.checkedBytes)
  expect(scrub.progress.endedAtMs).not.toBeNull()
})

test('scrub: a thread of its own reads the same', async () => {
  const disk = new Disk()
  for (let block = 0; block < 2 * BLOCKS_PER_SEGMENT; block += 5) disk.write(block, block % 251)
  disk.overwrite(1025, 7)
  const scrub = new Scrub(disk, startScrubReader(), new FakeClock(), FAST)
  await scrub.run()
  expect(disk.bad).toEqual([1025])
})

test('scrub: a difference in a segment in doubt is settled, and the doubt ends', async () => {
  const disk = new Disk()
  for (const block of [3, 4, 1030]) disk.write(block, 9)
  disk.overwrite(4, 1)
  disk.overwrite(1030, 1)
  disk.doubtful.add(0)
  const scrub = new Scrub(disk, new DirectScrubReader(), new FakeClock(), FAST)
  await scrub.run()
  expect(disk.settled).toEqual([4])
  expect(disk.bad).toEqual([1030])
  expect([...disk.doubtful]).toEqual([])
  expect(scrub.progress.settledBlocks).toBe(1)
})

test('scrub: only what is allocated is read, and blocks known to be zero are not compared', async () => {
  const disk = new Disk()
  disk.write(64, 5)
  disk.checksums[0]![65] = KNOWN_ZERO
  disk.overwrite(65, 99)
  disk.overwrite(500, 99)
  const reader = new DirectScrubReader()
  await new Scrub(disk, reader, new FakeClock(), FAST).run()
  expect(reader.pieces).toEqual([{ path: disk.path, offsetBytes: REGION_BYTES, lengthBytes: REGION_BYTES }])
  expect(disk.bad).toEqual([])
})

test('scrub: a write between data and checksum, or after the read, is no error', async () => {
  const disk = new Disk()
  disk.write(0, 1)
  disk.overwrite(0, 2)
  const reader = new DirectScrubReader()
  reader.before = () => {
    if (reader.pieces.length === 3) disk.write(0, 2)
  }
  await new Scrub(disk, reader, new FakeClock(), FAST).run()
  expect(reader.pieces.length).toBeGreaterThanOrEqual(3)
  expect(disk.bad).toEqual([])
})

test('scrub: a block that the disk does not give is bad, its neighbours are not', async () => {
  const disk = new Disk()
  for (let block = 0; block < 64; block++) disk.write(block, 3)
  const reader = new DirectScrubReader()
  reader.before = ({ offsetBytes, lengthBytes }) => {
    const bad = 10 * BLOCK_BYTES
    if (offsetBytes <= bad && bad < offsetBytes + lengthBytes) throw new Error('EIO')
  }
  await new Scrub(disk, reader, new FakeClock(), FAST).run()
  expect(disk.bad).toEqual([10])
})

test('scrub: reads no faster than its limit', async () => {
  const disk = new Disk()
  for (let region = 0; region < 2 * REGIONS_PER_SEGMENT; region++) disk.write(region * 64, 1)
  const clock = new FakeClock()
  await new Scrub(disk, new DirectScrubReader(), clock, SEGMENT_BYTES).run()
  expect(clock.ms).toBeGreaterThanOrEqual(1750)
  expect(clock.ms).toBeLessThan(2500)
})

test('scrub: stopped, it ends early and says so', async () => {
  const disk = new Disk()
  for (let region = 0; region < 2 * REGIONS_PER_SEGMENT; region++) disk.write(region * 64, 1)
  const reader = new DirectScrubReader()
  const scrub = new Scrub(disk, reader, new FakeClock(), FAST)
  reader.before = () => scrub.stop()
  await scrub.run()
  expect(reader.pieces).toHaveLength(1)
  expect(scrub.progress.checkedBytes).toBeLessThan(scrub.progress.totalBytes)
  expect(scrub.progress.endedAtMs).not.toBeNull()
})

/** Files in memory have no disk below the page cache. statfs(2). */
const TMPFS_MAGIC = 0x01021994
const inMemory = fs.statfsSync(os.tmpdir()).type === TMPFS_MAGIC
if (inMemory) console.warn('scrub past the page cache: skipped, the temp directory is a tmpfs')

test.skipIf(inMemory)('scrub: what the page cache holds does not hide what the disk has', async () => {
  const disk = new Disk()
  disk.write(0, 1)
  const fd = fs.openSync(disk.path, 'r')
  fs.readSync(fd, Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, 0)
  const reader = new DirectReader()
  const before = readBytesOfDisk()
  reader.entries({ path: disk.path, offsetBytes: 0, lengthBytes: REGION_BYTES })
  fs.closeSync(fd)
  reader.close()
  expect(readBytesOfDisk() - before).toBeGreaterThanOrEqual(BLOCK_BYTES)
})

/** What this process had storage read, from proc_pid_io(5). */
function readBytesOfDisk(): number {
  return Number(/^read_bytes: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))![1])
}

test('scrub: others have their turn while it counts what there is', async () => {
  const disk = new Disk()
  let looks = 0
  disk.slots = () => Array.from({ length: 1000 }, (_, slot) => slot)
  disk.isRegionAllocated = () => {
    looks++
    return false
  }
  const running = new Scrub(disk, new DirectScrubReader(), new FakeClock(), FAST).run()
  await setImmediate()
  const inOneTurn = looks
  await running
  expect(inOneTurn).toBeLessThan(looks / 4)
})
