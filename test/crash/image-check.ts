import { randomUUID } from 'node:crypto'
import { BlockKind } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import type { Brick, VolumeExtents } from '../../src/store/brick.ts'
import { perform } from './block-io.ts'
import type { Allowed, History, PastOperation, PastVolume } from './history.ts'
import { openTestBrick } from './open-test-brick.ts'
import { ALL_ZERO, BLOCK_BYTES, describeBlock, fillBlock, writerOf } from './pattern.ts'
import { below, pick, type Random } from './random.ts'
import { forgottenBy } from './replica-check.ts'

const RUN_BLOCKS_MAX = 64
const GENERATION_AFTER = 1000
/** Operations of the checker itself, apart from the workload's. */
const FIRST_ID = 1_000_000
const PROBE_VOLUME = 1000
const PROBE_BYTES = 128 * 1024 * 1024

export type Variant = 'power-cut' | 'kill'

/** A promise of the store that an image breaks. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}

/** By block: the id of the operation whose write was found, or ALL_ZERO. */
type Found = Map<number, number>

/** Opens the brick of one crashed image and holds it against what may be there. */
export class ImageCheck {
  #directory: string
  #history: History
  #cut: number
  #variant: Variant
  #random: Random
  #found = new Map<PastVolume, Found>()
  #buffer = Buffer.alloc(RUN_BLOCKS_MAX * BLOCK_BYTES)
  #nextId = FIRST_ID

  constructor(directory: string, history: History, cut: number, variant: Variant, random: Random) {
    this.#directory = directory
    this.#history = history
    this.#cut = cut
    this.#variant = variant
    this.#random = random
  }

  /** Throws BrokenPromise. `thoroughly`: also goes on writing, and opens the brick a second time. */
  async run(thoroughly: boolean): Promise<void> {
    const brick = await openTestBrick(this.#directory, { threads: false })
    try {
      this.#checkVolumes(brick)
      for (const volume of this.#present(brick)) {
        await this.#checkBlocks(brick, volume, this.#allowed(volume))
        if (volume.deleteAt >= this.#cut) this.#checkAtomic(volume, this.#found.get(volume)!)
      }
      if (thoroughly) await this.#goOn(brick)
    } catch (error) {
      if (brick.failure === null) throw error
      throw new BrokenPromise('the brick left service', { cause: brick.failure })
    } finally {
      await brick[Symbol.asyncDispose]()
    }
    if (thoroughly) await this.#reopen()
  }

  #present(brick: Brick): PastVolume[] {
    const present = new Set(brick.volumes())
    return this.#history.volumes.filter(volume => present.has(volume.uuid))
  }

  #checkVolumes(brick: Brick): void {
    const present = new Set(brick.volumes())
    for (const volume of this.#history.volumes) {
      const { uuid, number, createdAt, createAt, deleteAt, deletedAt } = volume
      if (createdAt < this.#cut && deleteAt >= this.#cut && !present.has(uuid)) {
        throw new BrokenPromise(`volume ${number} was created and is gone`)
      }
      if ((deletedAt < this.#cut || createAt >= this.#cut) && present.has(uuid)) {
        throw new BrokenPromise(`volume ${number} was deleted and is there`)
      }
    }
  }

  #allowed(volume: PastVolume): (operations: readonly PastOperation[]) => Allowed {
    const isGoing = volume.deleteAt < this.#cut
    return operations => {
      const values =
        this.#variant === 'kill'
          ? this.#history.allowedAfterKill(operations, this.#cut)
          : this.#history.allowedAfterPowerCut(operations, this.#cut)
      return isGoing ? new Set([...values, ALL_ZERO]) : values
    }
  }

  async #checkBlocks(
    brick: Brick,
    volume: PastVolume,
    allowed: (operations: readonly PastOperation[]) => Allowed,
  ): Promise<void> {
    const found: Found = new Map()
    this.#found.set(volume, found)
    const sizeBytes = volume.sizes.filter(({ at }) => at < this.#cut).at(-1)!.sizeBytes
    const blocks = [...volume.blocks.keys()].filter(block => block * BLOCK_BYTES < sizeBytes)
    const forgotten = await forgottenBy(brick.replicas.volume(volume.uuid)!, volume, this.#cut, this.#variant)
    if (forgotten !== null) throw new BrokenPromise(`volume ${volume.number}: ${forgotten}`)
    const extents = await this.#open(brick, volume)
    await this.#readAll(extents, volume.number, blocks, (block, writer, shown) => {
      const may = allowed(volume.blocks.get(block)!)
      if (!may.has(writer)) {
        const what = writer >= ALL_ZERO ? nameOf(writer) : shown
        throw new BrokenPromise(
          `block ${block} of volume ${volume.number} holds ${what}; allowed: ${[...may].map(nameOf).join(', ')}`,
        )
      }
      found.set(block, writer)
    })
  }

  /** Where one block of an atomic write is, no other of its blocks is older. */
  #checkAtomic(volume: PastVolume, found: Found): void {
    const torn = new Map<number, { here: boolean; older: number | null }>()
    for (const [block, writer] of found) {
      const touched = volume.blocks.get(block)!
      const isWriter = (one: PastOperation) => (one.writes ? one.id : ALL_ZERO) === writer
      const newest = touched.findLastIndex(one => one.beganAt < this.#cut && isWriter(one))
      touched.forEach((operation, index) => {
        if (!operation.atomic || operation.beganAt >= this.#cut) return
        const seen = torn.get(operation.id) ?? { here: false, older: null }
        if (operation.id === writer) seen.here = true
        else if (newest < index) seen.older = block
        torn.set(operation.id, seen)
      })
    }
    for (const [id, { here, older }] of torn) {
      if (!here || older === null) continue
      throw new BrokenPromise(`atomic ${nameOf(id)} is there, but not in block ${older}`)
    }
  }

  async #open(brick: Brick, volume: PastVolume): Promise<VolumeExtents> {
    const extents = await brick.openVolume(volume.uuid)
    extents.generation = GENERATION_AFTER
    return extents
  }

  async #readAll(
    extents: VolumeExtents,
    volume: number,
    blocks: readonly number[],
    check: (block: number, writer: number, shown: string) => void,
  ): Promise<void> {
    const sorted = [...blocks].sort((a, b) => a - b)
    for (let from = 0; from < sorted.length; ) {
      let to = from + 1
      while (to < sorted.length && to - from < RUN_BLOCKS_MAX && sorted[to] === sorted[to - 1]! + 1) to++
      const first = sorted[from]!
      await this.#read(extents, volume, first, to - from)
      for (let block = first; block < first + to - from; block++) {
        const at = (block - first) * BLOCK_BYTES
        check(block, writerOf(this.#buffer, at, volume, block), describeBlock(this.#buffer, at))
      }
      from = to
    }
  }

  async #read(extents: VolumeExtents, volume: number, block: number, count: number): Promise<void> {
    const [offsetBytes, lengthBytes] = [block * BLOCK_BYTES, count * BLOCK_BYTES]
    let status = extents.readNow(offsetBytes, lengthBytes, this.#buffer, 0)
    let failedAtBytes = extents.failedAtBytes
    if (status === BlockStatus.wouldBlock) {
      const request = { kind: BlockKind.read, offsetBytes, lengthBytes, data: this.#buffer }
      const outcome = await perform(extents, request)
      status = outcome.status
      failedAtBytes = outcome.failedAtBytes
    }
    if (status !== BlockStatus.ok) {
      const at = status === BlockStatus.mediumError ? failedAtBytes / BLOCK_BYTES : block
      throw new BrokenPromise(`reading block ${at} of volume ${volume} ends with status ${status}`)
    }
  }

  /** The brick takes writes again, and neither they nor a new volume disturb or show what was there. */
  async #goOn(brick: Brick): Promise<void> {
    for (const volume of this.#present(brick)) {
      const extents = await this.#open(brick, volume)
      const found = this.#found.get(volume)!
      const blocks = [...found.keys()]
      for (let count = 0; count < Math.min(4, blocks.length); count++) {
        const block = pick(this.#random, blocks)
        found.set(block, await this.#write(extents, volume.number, block))
      }
      await this.#flush(extents)
    }
    await this.#probe(brick)
  }

  async #probe(brick: Brick): Promise<void> {
    const uuid = randomUUID()
    await brick.createVolume({ uuid, sizeBytes: PROBE_BYTES, epoch: 1, setVersion: 1 })
    const extents = await brick.openVolume(uuid)
    extents.generation = 1
    const touched = new Set(this.#history.volumes.flatMap(volume => [...volume.blocks.keys()]))
    const blocks = [...touched].filter(block => block < PROBE_BYTES / BLOCK_BYTES)
    if (blocks.length === 0) return
    const written = new Map<number, number>()
    for (let count = 0; count < 3; count++) {
      const block = blocks[below(this.#random, blocks.length)]!
      written.set(block, await this.#write(extents, PROBE_VOLUME, block))
    }
    await this.#readAll(extents, PROBE_VOLUME, blocks, (block, writer, shown) => {
      if (writer === (written.get(block) ?? ALL_ZERO)) return
      throw new BrokenPromise(`block ${block} of a new volume holds ${shown}`)
    })
    await brick.deleteVolume(uuid)
  }

  async #write(extents: VolumeExtents, volume: number, block: number): Promise<number> {
    const id = this.#nextId++
    const data = Buffer.alloc(BLOCK_BYTES)
    fillBlock(data, 0, id, volume, block)
    const request = {
      kind: BlockKind.write,
      offsetBytes: block * BLOCK_BYTES,
      lengthBytes: BLOCK_BYTES,
      data,
    }
    const { status } = await perform(extents, request)
    if (status !== BlockStatus.ok) throw new BrokenPromise(`writing again ends with status ${status}`)
    return id
  }

  async #flush(extents: VolumeExtents): Promise<void> {
    const { status } = await perform(extents, { kind: BlockKind.flush, offsetBytes: 0, lengthBytes: 0 })
    if (status !== BlockStatus.ok) throw new BrokenPromise(`flushing again ends with status ${status}`)
  }

  async #reopen(): Promise<void> {
    const brick = await openTestBrick(this.#directory, { threads: false })
    try {
      for (const volume of this.#present(brick)) {
        const found = this.#found.get(volume)!
        await this.#checkBlocks(brick, volume, operations => {
          const block = [...volume.blocks].find(([, touched]) => touched === operations)![0]
          return new Set([found.get(block)!])
        })
      }
    } finally {
      await brick[Symbol.asyncDispose]()
    }
  }
}

function nameOf(id: number): string {
  return id === ALL_ZERO ? 'zeroes' : `operation ${id}`
}
