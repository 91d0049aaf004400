import type { ClientOperation, Loss } from '../checker/history.ts'
import { Violation } from '../world/violation.ts'
import type { Session, SimClient } from './sim-client.ts'

/** Something that may have happened or not, the connection that it went by, and since when nobody waits for an answer. */
export interface Unknown {
  readonly operation: ClientOperation
  readonly client: SimClient
  readonly session: Session
  readonly sinceMs: number
}

/** What all sessions of one initiator have in common. */
export class SimHost {
  unknown: Unknown[] = []
  readonly #changes: ClientOperation[] = []
  readonly #flushes: ClientOperation[] = []
  #toldMs = Number.NEGATIVE_INFINITY

  /** That writes may be gone: by an answer, or by the unit attention of a new session. */
  told(nowMs: number): void {
    this.#toldMs = nowMs
  }

  changed(operation: ClientOperation): void {
    if (!operation.fua) this.#changes.push(operation)
  }

  /**
   * I7: whoever has writes that were not flushed when the loss generation rose hears of it at its next flush, by whatever
   * session, unless a new session has told it that all may have been reset.
   */
  flushed(flush: ClientOperation, losses: readonly Loss[]): void {
    for (const { fromMs, atMs } of losses) {
      if (flush.respondedMs <= atMs) continue
      const before = this.#flushes.filter(({ respondedMs }) => respondedMs <= fromMs)
      const sinceMs = Math.max(this.#toldMs, ...before.map(({ invokedMs }) => invokedMs))
      const lost = this.#changes.find(({ respondedMs }) => respondedMs > sinceMs && respondedMs <= fromMs)
      if (lost === undefined) continue
      const message = `${flush.client} #${flush.id} flush was acknowledged, and nobody told its host that #${lost.id} may be gone`
      throw new Violation('I7', message)
    }
    this.#flushes.push(flush)
  }
}
