import { SEGMENT_BYTES, SEGMENTS_PER_RANGE } from '../../store/layout.ts'
import type { Member } from './member.ts'
import type { SetClass } from './set-class.ts'

/** Members are asked so often at most, and only when their answers may have changed. */
const ASK_EVERY_MS = 10_000

export interface ActivityElsewhereOptions {
  /** The clock by which segments are quiet. */
  readonly nowMs: () => number
  /** What is active on a member's brick; rejects when it does not say. */
  readonly ask: (member: Member) => Promise<{ active: readonly number[]; suspect: readonly number[] }>
}

/**
 * Quiet segments of the ranges that the own brick is not in: which are active their members say, when they were
 * last written to is known here. Only what is proposed for clearing comes from this, never that it is safe.
 */
export class ActivityElsewhere {
  readonly #options: ActivityElsewhereOptions
  readonly #startedMs: number
  /** By range, made by its first write: 8 KiB for 4 GiB. 0: not in this epoch. */
  readonly #writtenMs: (Float64Array | undefined)[] = []
  #active: number[] = []
  #mayHaveChanged = true
  #asking = false
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(options: ActivityElsewhereOptions) {
    this.#options = options
    this.#startedMs = options.nowMs()
  }

  /** From a range that the own brick is not in; the end of an atomic write may lie in the next. */
  wrote(offsetBytes: number, lengthBytes: number): void {
    const first = Math.floor(offsetBytes / SEGMENT_BYTES)
    const last = Math.floor((offsetBytes + lengthBytes - 1) / SEGMENT_BYTES)
    const range = Math.floor(first / SEGMENTS_PER_RANGE)
    const base = range * SEGMENTS_PER_RANGE
    this.#timesOf(range).fill(this.#options.nowMs(), first - base, last - base + 1)
    this.#mayHaveChanged = true
  }

  /** Who is in which range is another matter from now on. */
  setsChanged(): void {
    this.#mayHaveChanged = true
  }

  /** Least recently written first. */
  quiet(quietSinceMs: number, atMost: number, classes: readonly SetClass[]): number[] {
    void this.#look(classes)
    const found = this.#active.filter(segment => {
      return isElsewhere(classes, segment) && this.#lastWriteMs(segment) <= quietSinceMs
    })
    return found.sort((a, b) => this.#lastWriteMs(a) - this.#lastWriteMs(b)).slice(0, atMost)
  }

  /** What is still active after that is what a member could not clear: it is asked to again, but not at once. */
  cleared(segments: readonly number[]): void {
    const cleared = new Set(segments)
    this.#active = this.#active.filter(segment => !cleared.has(segment))
    const now = this.#options.nowMs()
    for (const segment of segments) {
      this.#timesOf(Math.floor(segment / SEGMENTS_PER_RANGE))[segment % SEGMENTS_PER_RANGE] = now
    }
  }

  #timesOf(range: number): Float64Array {
    this.#writtenMs[range] ??= new Float64Array(SEGMENTS_PER_RANGE)
    return this.#writtenMs[range]!
  }

  #lastWriteMs(segment: number): number {
    const writtenMs =
      this.#writtenMs[Math.floor(segment / SEGMENTS_PER_RANGE)]?.[segment % SEGMENTS_PER_RANGE]
    // A former owner may have written to it until the very end.
    return writtenMs === undefined || writtenMs === 0 ? this.#startedMs : writtenMs
  }

  /** Asks all members of such ranges, since what is active differs among them. */
  async #look(classes: readonly SetClass[]): Promise<void> {
    const now = this.#options.nowMs()
    if (this.#asking || !this.#mayHaveChanged || now - this.#askedMs < ASK_EVERY_MS) return
    const members = new Set<Member>()
    for (const cls of classes) if (isForeign(cls)) for (const member of cls.members) members.add(member)
    if (members.size === 0) return
    this.#mayHaveChanged = false
    this.#asking = true
    this.#askedMs = now
    try {
      const answers = await Promise.all([...members].map(member => this.#options.ask(member)))
      const suspect = new Set(answers.flatMap(answer => answer.suspect))
      const active = new Set(answers.flatMap(answer => answer.active))
      this.#active = [...active].filter(segment => !suspect.has(segment) && isElsewhere(classes, segment))
      if (active.size > 0) this.#mayHaveChanged = true
    } catch {
      this.#mayHaveChanged = true
    }
    this.#asking = false
  }
}

function isForeign({ local, served }: SetClass): boolean {
  return local === null && served
}

function isElsewhere(classes: readonly SetClass[], segment: number): boolean {
  const cls = classes[Math.floor(segment / SEGMENTS_PER_RANGE)]
  return cls !== undefined && isForeign(cls)
}
