import { BlockStatus } from '../../../src/block/block-status.ts'
import type { EventLoop } from '../world/event-loop.ts'
import type { Tally } from '../world/tally.ts'
import { SECTOR_BYTES } from './content.ts'
import type { ClientOperation, History } from './history.ts'
import type { TestedVolume } from './judge.ts'

const NEVER = Number.POSITIVE_INFINITY
const SECTORS_PER_BLOCK = 4096 / SECTOR_BYTES

/** One SANITIZE, and what its host was told. */
export interface SanitizeAttempt {
  readonly volume: number
  /** As if a client had written zeroes to every block in use. */
  readonly operations: readonly ClientOperation[]
  acceptedMs: number
  /** Somebody used the volume again. */
  hasEnded: boolean
}

/**
 * What begins after a SANITIZE was accepted is refused, or finds zeroes, or what was written since: to readers it is as if
 * all had been erased by then. That members have erased it is known only when somebody is served again.
 */
export class SanitizeJudge {
  /** Numbers are those of clients' operations. */
  nextNumber: () => number = () => 0
  readonly #loop: EventLoop
  readonly #history: History
  readonly #tally: Tally
  readonly #attempts: SanitizeAttempt[] = []

  constructor(loop: EventLoop, history: History, tally: Tally) {
    this.#loop = loop
    this.#history = history
    this.#tally = tally
  }

  began({ index, blocks }: TestedVolume): SanitizeAttempt {
    const operations = runsOf(blocks).map(([first, count]) => this.#erasure(index, first, count))
    for (const operation of operations) this.#history.began(operation)
    const attempt = { volume: index, operations, acceptedMs: NEVER, hasEnded: false }
    this.#attempts.push(attempt)
    return attempt
  }

  accepted(attempt: SanitizeAttempt): void {
    attempt.acceptedMs = this.#loop.nowMs
    this.#tally.add('sanitize accepted')
  }

  /** Another one was under way. */
  refused({ operations }: SanitizeAttempt): void {
    this.#tally.add('sanitize refused')
    for (const operation of operations) operation.outcome = 'refused'
  }

  answered({ volume, invokedMs }: ClientOperation, status: BlockStatus): void {
    if (status !== BlockStatus.ok) return
    for (const attempt of this.#attempts) {
      if (attempt.volume !== volume || attempt.hasEnded || invokedMs <= attempt.acceptedMs) continue
      attempt.hasEnded = true
      this.#tally.add('sanitize ended')
      this.#certain(attempt, this.#loop.nowMs)
    }
  }

  /** For the histories of readers, once nothing looks at members any more. */
  closeWhatWasErased(): void {
    for (const attempt of this.#attempts)
      if (attempt.acceptedMs < NEVER) this.#certain(attempt, attempt.acceptedMs)
  }

  #certain({ operations }: SanitizeAttempt, atMs: number): void {
    for (const operation of operations) {
      operation.outcome = 'ok'
      operation.respondedMs = atMs
    }
  }

  #erasure(volume: number, firstBlock: number, blocks: number): ClientOperation {
    return {
      id: this.nextNumber(),
      kind: 'trim',
      client: 'sanitize',
      nexus: '',
      volume,
      firstSector: firstBlock * SECTORS_PER_BLOCK,
      sectors: blocks * SECTORS_PER_BLOCK,
      value: 0,
      fua: false,
      expected: [],
      invokedMs: this.#loop.nowMs,
      respondedMs: NEVER,
      outcome: 'pending',
      closedMs: NEVER,
      found: [],
    }
  }
}

/** First block and length of what lies side by side. */
function runsOf(blocks: readonly number[]): [number, number][] {
  const runs: [number, number][] = []
  for (const block of blocks) {
    const last = runs.at(-1)
    if (last !== undefined && last[0] + last[1] === block) last[1]++
    else runs.push([block, 1])
  }
  return runs
}
