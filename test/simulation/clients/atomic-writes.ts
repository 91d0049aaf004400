import { BLOCK_BYTES } from '../brick/volume-image.ts'
import { SECTOR_BYTES } from '../checker/content.ts'
import type { ClientOperationKind } from '../checker/history.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { Random } from '../world/random.ts'

const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES
const ATOMIC_CHANCE = 0.3
/** Reads that look at all of what somebody wrote atomically lately. */
const LOOK_CHANCE = 0.35
const LATEST_MAX = 12
const BLOCKS_MIN = 2
const BLOCKS_MAX = 8
const RAGGED_CHANCE = 0.2

export interface Span {
  readonly firstSector: number
  readonly sectors: number
}

/** The writes of one volume's clients that must be there whole or not at all, and the reads that look for their parts. */
export class AtomicWrites {
  readonly #volume: TestedVolume
  readonly #random: Random
  readonly #latest: Span[] = []

  constructor(volume: TestedVolume, random: Random) {
    this.#volume = volume
    this.#random = random
  }

  /** Where an operation goes that was drawn as `kind`, and that it is atomic if it is a write; null: it stays as drawn. */
  instead(kind: ClientOperationKind): Span | null {
    const random = this.#random
    if (kind === 'read') {
      if (this.#latest.length === 0 || !random.chance(LOOK_CHANCE)) return null
      return random.pick(this.#latest)
    }
    if (kind !== 'write' || !random.chance(ATOMIC_CHANCE)) return null
    const span = this.#span()
    if (this.#latest.push(span) > LATEST_MAX) this.#latest.shift()
    return span
  }

  #span(): Span {
    const random = this.#random
    const { blocks } = this.#volume
    const wanted = BLOCKS_MIN + random.below(BLOCKS_MAX - BLOCKS_MIN + 1)
    const first = random.below(blocks.length)
    let count = 1
    while (count < wanted && blocks[first + count] === blocks[first]! + count) count++
    const firstSector = blocks[first]! * SECTORS_PER_BLOCK
    const sectors = count * SECTORS_PER_BLOCK
    if (!random.chance(RAGGED_CHANCE)) return { firstSector, sectors }
    const skip = random.below(SECTORS_PER_BLOCK)
    return {
      firstSector: firstSector + skip,
      sectors: sectors - skip - random.below(SECTORS_PER_BLOCK - skip),
    }
  }
}
