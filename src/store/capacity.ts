import type { BrickCapacity } from './brick.ts'
import { REGION_BYTES } from './layout.ts'

/** Part of the limit above which the brick warns. */
const WARN_AT = 0.85

/** Space reserved for data, counted in regions of 256 KiB, under a hard limit. */
export class Capacity implements BrickCapacity {
  readonly limitBytes: number
  readonly warnAtBytes: number
  readonly dirtyCapBytes: number
  readonly #dirtyBytes: () => number
  readonly #warn: (usedBytes: number) => void
  #regions = 0
  #warned = false

  constructor(options: {
    limitBytes: number
    dirtyCapBytes: number
    dirtyBytes: () => number
    /** Called when usage rises above the soft limit, once until it has fallen below. */
    warn: (usedBytes: number) => void
  }) {
    this.limitBytes = options.limitBytes
    this.warnAtBytes = Math.floor(options.limitBytes * WARN_AT)
    this.dirtyCapBytes = options.dirtyCapBytes
    this.#dirtyBytes = options.dirtyBytes
    this.#warn = options.warn
  }

  get usedBytes(): number {
    return this.#regions * REGION_BYTES
  }

  get dirtyBytes(): number {
    return this.#dirtyBytes()
  }

  /** False, and nothing reserved, when they do not all fit. */
  reserve(regions: number): boolean {
    if ((this.#regions + regions) * REGION_BYTES > this.limitBytes) return false
    this.count(regions)
    return true
  }

  /** Regions that have their space already, as found at open. */
  count(regions: number): void {
    this.#regions += regions
    if (this.usedBytes > this.warnAtBytes && !this.#warned) {
      this.#warned = true
      this.#warn(this.usedBytes)
    }
  }

  release(regions: number): void {
    this.#regions -= regions
    if (this.usedBytes <= this.warnAtBytes) this.#warned = false
  }
}
