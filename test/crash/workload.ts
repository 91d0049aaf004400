// Run by the crash tests in a process of its own: works on a brick and marks what was acknowledged when.
import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { BlockKind } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import type { Brick, VolumeExtents } from '../../src/store/brick.ts'
import type { ReplicaVolume } from '../../src/store/replica-store.ts'
import { type BlockRequest, perform } from './block-io.ts'
import { type CrashedStart, restoreCrashed } from './crashed-start.ts'
import type { Mark } from './history.ts'
import { openMarks, readMarks } from './marks.ts'
import { openTestBrick } from './open-test-brick.ts'
import { BLOCK_BYTES, fillBlock, writerOf } from './pattern.ts'
import { below, pick, type Random, seeded } from './random.ts'

const EXTENT_BLOCKS = 16384
/** Where things happen: the edges of regions, segments, extents and checksum pages, and the beginning. */
const ANCHORS = [0, 64, 960, 1024, 2048, EXTENT_BLOCKS - 64, EXTENT_BLOCKS, EXTENT_BLOCKS + 1024]
const VOLUME_BYTES = 2 * EXTENT_BLOCKS * BLOCK_BYTES
const GROWN_BYTES = 3 * EXTENT_BLOCKS * BLOCK_BYTES
const BATCH_MAX = 4
const SERVED = 2
const DURABLE_BATCHES = 0.25
/** Part of the writes and trims that bring what another brick has. */
const COPIES = 0.15
const ATOMIC_WRITES = 0.2

interface Served {
  readonly number: number
  readonly uuid: string
  blocks: VolumeExtents
  sizeBytes: number
}

interface Run {
  readonly volume: Served
  readonly block: number
  readonly count: number
}

class Workload {
  #random: Random
  #directory: string
  #marks: number
  #earlier: readonly Mark[]
  #brick!: Brick
  #served: Served[] = []
  #volumes = 0
  #nextId = 1
  #generation = 1

  constructor(root: string, seed: number, start?: CrashedStart) {
    this.#random = seeded(seed)
    this.#directory = join(root, 'brick')
    this.#marks = openMarks(root)
    if (start !== undefined) {
      restoreCrashed(start, root, this.#marks)
      this.#mark({ mark: 'crashed' })
    }
    this.#earlier = readMarks(root)
  }

  async run(steps: number): Promise<void> {
    const known = this.#resume()
    await this.#open()
    for (const { number, uuid, sizeBytes } of known) {
      this.#served.push({ number, uuid, sizeBytes, blocks: await this.#openVolume(uuid) })
    }
    if (this.#earlier.some(({ mark }) => mark === 'crashed')) await this.#find()
    while (this.#served.length < SERVED) await this.#create()
    for (let step = 0; step < steps; step++) await this.#step()
    await this.#close()
  }

  /** The volumes that a process before this one, perhaps killed, left whole. */
  #resume(): Omit<Served, 'blocks'>[] {
    const known = new Map<number, Omit<Served, 'blocks'>>()
    let creating: Omit<Served, 'blocks'> | undefined
    for (const mark of this.#earlier) {
      if (mark.mark === 'begin') {
        this.#nextId = Math.max(this.#nextId, mark.id + 1)
        this.#generation = Math.max(this.#generation, (mark.generation ?? 0) + 1)
      }
      if (mark.mark === 'create') {
        this.#volumes = mark.volume + 1
        creating = { number: mark.volume, uuid: mark.uuid, sizeBytes: mark.sizeBytes }
      }
      if (mark.mark === 'created') known.set(mark.volume, creating!)
      if (mark.mark === 'grown')
        known.set(mark.volume, { ...known.get(mark.volume)!, sizeBytes: mark.sizeBytes })
      if (mark.mark === 'delete') known.delete(mark.volume)
    }
    return [...known.values()]
  }

  /** Reads whatever the earlier run touched: from now on it is what it is. */
  async #find(): Promise<void> {
    const data = Buffer.alloc(BLOCK_BYTES)
    for (const volume of this.#served) {
      const blocks: [number, number][] = []
      for (const block of touchedBlocks(this.#earlier, volume.number)) {
        const request = {
          kind: BlockKind.read,
          offsetBytes: block * BLOCK_BYTES,
          lengthBytes: BLOCK_BYTES,
          data,
        }
        const { status } = await perform(volume.blocks, request)
        if (status !== BlockStatus.ok) throw new Error(`reading block ${block} ends with status ${status}`)
        blocks.push([block, writerOf(data, 0, volume.number, block)])
      }
      this.#mark({ mark: 'found', volume: volume.number, blocks })
    }
  }

  async #step(): Promise<void> {
    const roll = this.#random()
    if (roll < 0.015) {
      await this.#close()
      await this.#open()
    } else if (roll < 0.035) await this.#replaceVolume()
    else if (roll < 0.045) await this.#grow()
    else if (roll < 0.065) await this.#clear()
    else if (roll < 0.075) this.#raiseGeneration()
    else if (roll < 0.085) await this.#leave()
    else if (roll < 0.095) await this.#fence()
    else if (roll < 0.1) await this.#free()
    else await this.#batch()
  }

  async #open(): Promise<void> {
    this.#brick = await openTestBrick(this.#directory, { threads: true })
    this.#mark({ mark: 'opened' })
    for (const served of this.#served) served.blocks = await this.#openVolume(served.uuid)
  }

  async #openVolume(uuid: string): Promise<VolumeExtents> {
    const blocks = await this.#brick.openVolume(uuid)
    blocks.generation = this.#generation
    return blocks
  }

  async #close(): Promise<void> {
    this.#mark({ mark: 'close' })
    await this.#brick[Symbol.asyncDispose]()
    this.#mark({ mark: 'closed' })
  }

  async #create(): Promise<void> {
    const number = this.#volumes++
    const uuid = randomUUID()
    this.#mark({ mark: 'create', volume: number, uuid, sizeBytes: VOLUME_BYTES })
    await this.#brick.createVolume({ uuid, sizeBytes: VOLUME_BYTES, epoch: 1, setVersion: 1 })
    this.#mark({ mark: 'created', volume: number })
    this.#served.push({ number, uuid, blocks: await this.#openVolume(uuid), sizeBytes: VOLUME_BYTES })
  }

  async #replaceVolume(): Promise<void> {
    const [gone] = this.#served.splice(below(this.#random, this.#served.length), 1)
    this.#mark({ mark: 'delete', volume: gone!.number })
    await this.#brick.deleteVolume(gone!.uuid)
    this.#mark({ mark: 'deleted', volume: gone!.number })
    await this.#create()
  }

  async #grow(): Promise<void> {
    const volume = pick(this.#random, this.#served)
    await this.#brick.growVolume(volume.uuid, GROWN_BYTES)
    volume.sizeBytes = GROWN_BYTES
    this.#mark({ mark: 'grown', volume: volume.number, sizeBytes: GROWN_BYTES })
  }

  async #clear(): Promise<void> {
    const { blocks } = pick(this.#random, this.#served)
    const segments = blocks.quietSegments(Number.MAX_SAFE_INTEGER, 16)
    await blocks.clearSegments(segments.filter(() => this.#random() < 0.7))
  }

  #raiseGeneration(): void {
    this.#generation++
    for (const { blocks } of this.#served) blocks.generation = this.#generation
  }

  /** Another member leaves: what it may lack carries the generation that begins. PROTOCOL rule 12. */
  async #leave(): Promise<void> {
    this.#raiseGeneration()
    for (const served of this.#served) await this.#replicaOf(served).stampActive(this.#generation)
  }

  async #fence(): Promise<void> {
    const served = pick(this.#random, this.#served)
    const replica = this.#replicaOf(served)
    const epoch = replica.descriptor.epoch + below(this.#random, 2)
    const setVersion = replica.descriptor.setVersion + 1
    await replica.persistDescriptor({ epoch, setVersion })
    this.#mark({ mark: 'descriptor', volume: served.number, epoch, setVersion })
  }

  async #free(): Promise<void> {
    const served = pick(this.#random, this.#served)
    const id = this.#nextId++
    const nothing = { offsetBytes: 0, lengthBytes: 0 }
    this.#mark({ mark: 'begin', id, volume: served.number, kind: 'free', ...nothing, fua: true })
    await this.#replicaOf(served).freeRanges([0])
    this.#done(id, { status: BlockStatus.ok })
  }

  #replicaOf({ uuid }: Served): ReplicaVolume {
    return this.#brick.replicas.volume(uuid)!
  }

  async #batch(): Promise<void> {
    const runs: Run[] = []
    const wanted = 1 + below(this.#random, BATCH_MAX)
    for (let tries = 0; tries < 2 * wanted && runs.length < wanted; tries++) {
      const run = this.#chooseRun()
      if (!runs.some(other => overlap(run, other))) runs.push(run)
    }
    // Durable writes that meet share records of the journal.
    const durable = this.#random() < DURABLE_BATCHES
    const started = runs.map(run => this.#change(run, durable))
    if (this.#random() < 0.3) started.push(this.#flush(pick(this.#random, this.#served)))
    await Promise.all(started)
  }

  #chooseRun(): Run {
    const volume = pick(this.#random, this.#served)
    const sizeBlocks = volume.sizeBytes / BLOCK_BYTES
    const roll = this.#random()
    const count = roll < 0.4 ? 1 : roll < 0.85 ? 2 + below(this.#random, 14) : 40 + below(this.#random, 60)
    const anchor = pick(this.#random, [...ANCHORS, sizeBlocks - 8])
    const block = Math.min(Math.max(0, anchor - 16 + below(this.#random, 32)), sizeBlocks - count)
    return { volume, block, count }
  }

  async #change(run: Run, durable: boolean): Promise<void> {
    const roll = this.#random()
    const kind = roll < 0.78 ? BlockKind.write : roll < 0.92 ? BlockKind.trim : BlockKind.zero
    const fua = kind === BlockKind.write && durable
    const atomic = kind === BlockKind.write && !fua && this.#random() < ATOMIC_WRITES
    const inline = kind === BlockKind.write && !fua && !atomic && this.#random() < 0.7
    const copied = kind !== BlockKind.zero && !fua && !atomic && this.#random() < COPIES
    const stamp = copied ? 1 + below(this.#random, this.#generation) : this.#generation
    const id = this.#nextId++
    const request: BlockRequest = {
      kind: atomic ? BlockKind.writeAtomic : kind,
      offsetBytes: run.block * BLOCK_BYTES,
      lengthBytes: run.count * BLOCK_BYTES,
      fua,
    }
    this.#mark({
      mark: 'begin',
      id,
      volume: run.volume.number,
      kind: kind === BlockKind.write ? 'write' : kind === BlockKind.trim ? 'trim' : 'zero',
      offsetBytes: request.offsetBytes,
      lengthBytes: request.lengthBytes,
      // Durable when it is answered, as its record is.
      fua: fua || atomic,
      atomic,
      copied,
      // A trim of what was never there leaves no stamp.
      ...(kind === BlockKind.trim && !copied ? {} : { generation: stamp }),
    })
    const replica = this.#replicaOf(run.volume)
    const { offsetBytes, lengthBytes } = request
    if (kind === BlockKind.trim && copied) {
      const status = await replica.trimIn(offsetBytes, lengthBytes, stamp)
      return this.#done(id, { status })
    }
    if (kind !== BlockKind.write) return this.#done(id, await perform(run.volume.blocks, request))
    const data = Buffer.alloc(request.lengthBytes)
    for (let index = 0; index < run.count; index++) {
      fillBlock(data, index * BLOCK_BYTES, id, run.volume.number, run.block + index)
    }
    if (copied)
      return this.#done(id, { status: await replica.copyIn(offsetBytes, lengthBytes, data, 0, stamp) })
    if (inline) {
      const status = run.volume.blocks.writeNow(request.offsetBytes, request.lengthBytes, data, 0)
      if (status !== BlockStatus.wouldBlock) return this.#done(id, { status })
    }
    this.#done(id, await perform(run.volume.blocks, { ...request, data }))
  }

  async #flush(volume: Served): Promise<void> {
    const id = this.#nextId++
    const nothing = { offsetBytes: 0, lengthBytes: 0 }
    this.#mark({ mark: 'begin', id, volume: volume.number, kind: 'flush', ...nothing, fua: false })
    this.#done(id, await perform(volume.blocks, { kind: BlockKind.flush, ...nothing }))
  }

  #done(id: number, { status }: { status: number }): void {
    this.#mark({ mark: 'done', id, status })
  }

  #mark(mark: Mark): void {
    writeSync(this.#marks, `${JSON.stringify(mark)}\n`)
  }
}

function touchedBlocks(marks: readonly Mark[], volume: number): Set<number> {
  const blocks = new Set<number>()
  for (const mark of marks) {
    if (mark.mark !== 'begin' || mark.volume !== volume) continue
    const first = mark.offsetBytes / BLOCK_BYTES
    for (let block = first; block < first + mark.lengthBytes / BLOCK_BYTES; block++) blocks.add(block)
  }
  return blocks
}

function overlap(one: Run, other: Run): boolean {
  return (
    one.volume === other.volume &&
    one.block < other.block + other.count &&
    other.block < one.block + one.count
  )
}

const [root, seed, steps, start] = process.argv.slice(2)
const crashed = start === undefined ? undefined : (JSON.parse(start) as CrashedStart)
await new Workload(root!, Number(seed), crashed).run(Number(steps))
