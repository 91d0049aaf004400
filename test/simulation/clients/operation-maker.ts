import { BlockKind, BlockOperation } from '../../../src/block/block-operation.ts'
import { BLOCK_BYTES } from '../brick/volume-image.ts'
import { fillSectors, SECTOR_BYTES } from '../checker/content.ts'
import { type ClientOperation, type ClientOperationKind, isChange } from '../checker/history.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { Random } from '../world/random.ts'
import type { AtomicWrites } from './atomic-writes.ts'

const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES
const BLOCKS_AT_ONCE_MAX = 4
const MIX: readonly [ClientOperationKind, number][] = [
  ['read', 40],
  ['write', 38],
  ['trim', 4],
  ['zero', 3],
  ['compareAndWrite', 6],
  ['flush', 9],
]
/** Writes and reads that do not begin and end with a block. */
const SUB_BLOCK_CHANCE = 0.25
const FUA_CHANCE = 0.08
/** Half of what clients do goes to a tenth of the blocks. */
const HOT_CHANCE = 0.5
const HOT_BLOCKS = 6

/** Of reads, where there are any: whether there is something is asked instead. */
const LOOK_CHANCE = 0.5

/** A look is no block operation, and a read to whatever forbids some. */
const KIND: Record<ClientOperationKind, BlockKind> = {
  look: BlockKind.read,
  read: BlockKind.read,
  write: BlockKind.write,
  writeAtomic: BlockKind.writeAtomic,
  trim: BlockKind.trim,
  zero: BlockKind.zero,
  compareAndWrite: BlockKind.compareAndWrite,
  flush: BlockKind.flush,
}

/** Gives every operation of a run its number: it is what writes leave behind. */
export class OperationNumbers {
  #last = 0

  next(): number {
    return ++this.#last
  }
}

/** Makes up what one client does next. */
export class OperationMaker {
  /** It changes nothing for a while. */
  readsOnly = false
  /** It may not change anything: its host is not registered. */
  isFenced = false
  /** Another session of its host changes things. */
  standsBy = false
  readonly #volume: TestedVolume
  readonly #random: Random
  readonly #numbers: OperationNumbers
  readonly #atomics: AtomicWrites | null
  readonly #looks: Random | null
  /** What this client last knew of a sector, for comparing. */
  readonly #known = new Map<number, number>()

  constructor(
    volume: TestedVolume,
    random: Random,
    numbers: OperationNumbers,
    atomics: AtomicWrites | null,
    looks: Random | null,
  ) {
    this.#volume = volume
    this.#random = random
    this.#numbers = numbers
    this.#atomics = atomics
    this.#looks = looks
  }

  make(client: string, nowMs: number): { operation: ClientOperation; block: BlockOperation } {
    const random = this.#random
    const drawn = MIX[random.weighted(MIX.map(([, weight]) => weight))]![0]
    const asDrawn = this.#mayDo(drawn) ? drawn : 'read'
    const id = this.#numbers.next()
    const place = this.#place(asDrawn)
    const instead = this.#atomics?.instead(asDrawn) ?? null
    const kind = this.#kind(asDrawn, instead !== null)
    const { firstSector, sectors } = instead ?? place
    const isZero = kind === 'trim' || kind === 'zero'
    const value = isChange(kind) && !isZero ? id : 0
    const expected = kind === 'compareAndWrite' ? this.#expected(firstSector, sectors) : []
    const operation: ClientOperation = {
      id,
      kind,
      client,
      nexus: '',
      volume: this.#volume.index,
      firstSector,
      sectors,
      value,
      fua: kind === 'write' && random.chance(FUA_CHANCE),
      expected,
      invokedMs: nowMs,
      respondedMs: Number.POSITIVE_INFINITY,
      outcome: 'pending',
      closedMs: Number.POSITIVE_INFINITY,
      found: [],
    }
    return { operation, block: this.#block(operation) }
  }

  /** A host flushes by any of its sessions. */
  #mayDo(kind: ClientOperationKind): boolean {
    if (this.readsOnly || this.isFenced) return false
    return !this.standsBy || kind === 'flush'
  }

  #kind(drawn: ClientOperationKind, isInstead: boolean): ClientOperationKind {
    if (drawn === 'write' && isInstead) return 'writeAtomic'
    return drawn === 'read' && !isInstead && this.#looks?.chance(LOOK_CHANCE) === true ? 'look' : drawn
  }

  ended({ kind, outcome, firstSector, sectors, value, found }: ClientOperation): void {
    if (outcome !== 'ok' || kind === 'flush' || kind === 'look') return
    for (let i = 0; i < sectors; i++) this.#known.set(firstSector + i, kind === 'read' ? found[i]! : value)
  }

  #place(kind: ClientOperationKind): { firstSector: number; sectors: number } {
    const random = this.#random
    const { blocks } = this.#volume
    if (kind === 'flush') return { firstSector: 0, sectors: 0 }
    const first = random.chance(HOT_CHANCE)
      ? random.below(Math.min(HOT_BLOCKS, blocks.length))
      : random.below(blocks.length)
    let count = 1 + random.below(BLOCKS_AT_ONCE_MAX)
    // Only blocks that lie side by side are one operation.
    for (let i = 1; i < count; i++) if (blocks[first + i] !== blocks[first]! + i) count = i
    const firstSector = blocks[first]! * SECTORS_PER_BLOCK
    const sectors = count * SECTORS_PER_BLOCK
    if (kind === 'compareAndWrite')
      return { firstSector: firstSector + random.below(SECTORS_PER_BLOCK), sectors: 1 }
    if (!random.chance(SUB_BLOCK_CHANCE)) return { firstSector, sectors }
    const skip = random.below(SECTORS_PER_BLOCK)
    return { firstSector: firstSector + skip, sectors: 1 + random.below(sectors - skip) }
  }

  #expected(firstSector: number, sectors: number): number[] {
    return Array.from({ length: sectors }, (_, i) => this.#known.get(firstSector + i) ?? 0)
  }

  #block({ kind, firstSector, sectors, value, fua, expected }: ClientOperation): BlockOperation {
    const block = new BlockOperation({ blockDone: () => {} })
    const lengthBytes = sectors * SECTOR_BYTES
    block.kind = KIND[kind]
    block.offsetBytes = firstSector * SECTOR_BYTES
    block.lengthBytes = lengthBytes
    block.fua = fua
    if (kind === 'read') block.data = Buffer.alloc(lengthBytes, 0xdd)
    const { index } = this.#volume
    if (kind === 'write' || kind === 'writeAtomic') {
      block.data = Buffer.alloc(lengthBytes)
      fillSectors(block.data, 0, index, firstSector, sectors, value)
    }
    if (kind === 'compareAndWrite') {
      block.data = Buffer.alloc(2 * lengthBytes)
      for (const [i, was] of expected.entries()) {
        if (was !== 0) fillSectors(block.data, i * SECTOR_BYTES, index, firstSector + i, 1, was)
      }
      fillSectors(block.data, lengthBytes, index, firstSector, sectors, value)
    }
    return block
  }
}
