import type { Brick, BrickCapacity, BrickCounters, ScrubProgress } from '../store/brick.ts'

interface OneBrick
  extends Pick<Brick, 'counters' | 'failure' | 'state' | 'scrub' | 'startScrub' | 'stopScrub'> {
  readonly capacity: BrickCapacity
}

/** The bricks of this process as one, for whoever looks at the daemon: `holdfast dev` may have several. */
export class LocalBricks {
  readonly #bricks: readonly OneBrick[]

  constructor(bricks: readonly OneBrick[]) {
    this.#bricks = bricks
  }

  get capacity(): BrickCapacity {
    const sum = (figure: keyof BrickCapacity) => this.#sum(({ capacity }) => capacity[figure])
    return {
      limitBytes: sum('limitBytes'),
      usedBytes: sum('usedBytes'),
      warnAtBytes: sum('warnAtBytes'),
      dirtyBytes: sum('dirtyBytes'),
      dirtyCapBytes: sum('dirtyCapBytes'),
    }
  }

  get counters(): BrickCounters {
    const sum = (figure: keyof BrickCounters) => this.#sum(({ counters }) => counters[figure])
    return {
      checksumErrors: sum('checksumErrors'),
      flushes: sum('flushes'),
      fdatasyncs: sum('fdatasyncs'),
      readsInline: sum('readsInline'),
      readsWaited: sum('readsWaited'),
      writesInline: sum('writesInline'),
      writesWaited: sum('writesWaited'),
    }
  }

  /** Of the first one that has left service. */
  get failure(): Error | null {
    return this.#bricks.find(({ failure }) => failure !== null)?.failure ?? null
  }

  /** Volumes live on while one is left. */
  get isServing(): boolean {
    return this.#bricks.some(({ failure }) => failure === null)
  }

  get state(): Brick['state'] {
    return this.#bricks.some(({ state }) => state === 'cold') ? 'cold' : 'warm'
  }

  /** They share the bandwidth, as they do the disk. */
  startScrub({ bytesPerSecond }: { bytesPerSecond?: number } = {}): void {
    const each = bytesPerSecond === undefined ? undefined : Math.ceil(bytesPerSecond / this.#bricks.length)
    for (const brick of this.#bricks) brick.startScrub(each === undefined ? {} : { bytesPerSecond: each })
  }

  async stopScrub(): Promise<void> {
    await Promise.all(this.#bricks.map(brick => brick.stopScrub()))
  }

  /** From the start of the first to the end of the last. */
  get scrub(): ScrubProgress | null {
    const scrubs = this.#bricks.flatMap(({ scrub }) => scrub ?? [])
    if (scrubs.length === 0) return null
    const sum = (figure: 'checkedBytes' | 'totalBytes' | 'badBlocks' | 'settledBlocks') =>
      scrubs.reduce((total, scrub) => total + scrub[figure], 0)
    const isRunning = scrubs.some(({ endedAtMs }) => endedAtMs === null)
    return {
      checkedBytes: sum('checkedBytes'),
      totalBytes: sum('totalBytes'),
      badBlocks: sum('badBlocks'),
      settledBlocks: sum('settledBlocks'),
      startedAtMs: Math.min(...scrubs.map(({ startedAtMs }) => startedAtMs)),
      endedAtMs: isRunning ? null : Math.max(...scrubs.map(({ endedAtMs }) => endedAtMs ?? 0)),
    }
  }

  #sum(figure: (brick: OneBrick) => number): number {
    return this.#bricks.reduce((total, brick) => total + figure(brick), 0)
  }
}
