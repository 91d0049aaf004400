import type { WatchedCapacity } from './brick.ts'
import { REGION_BYTES } from './layout.ts'

/** Part of the limit above which the brick warns. */
const WARN_AT = 0.85
/** Changes are told in steps of this part of the limit: often enough for thresholds, and rare. */
const STEPS = 256

/** Space reserved for data, counted in regions of 256 KiB, under a hard limit. */
export class Capacity implements WatchedCapacity {
  readonly limitBytes: number
  readonly warnAtBytes: number
  readonly dirtyCapBytes: number
  readonly #dirtyBytes: () => number
  readonly #warn: (usedBytes: number) => void
  #regions = 0
  #warned = false
  readonly #listeners = new Set<() => void>()
  #step = 0

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

  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
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
    this.#tell()
  }

  release(regions: number): void {
    this.#regions -= regions
    if (this.usedBytes <= this.warnAtBytes) this.#warned = false
    this.#tell()
  }

  #tell(): void {
    const step = Math.floor((this.usedBytes * STEPS) / this.limitBytes)
    if (step === this.#step) return
    this.#step = step
    for (const listener of this.#listeners) listener()
  }
}
