import { RANGE_BYTES } from '../../control/layout.ts'
import { fateOf, type LoggedOperation, type OperationFate, type OperationLog } from '../operation-log.ts'
import type { Sets } from './serving-rule.ts'

/**
 * What became of operations whose owner is gone, by what the members that counted when this epoch began to serve were
 * asked to do in the one before. Who has left since may have been whom the others were made like: that all who remain had
 * it once says nothing then. PROTOCOL rule 18.
 */
export class FormerOperations {
  readonly #current: () => Sets
  readonly #logOf: (peer: number) => OperationLog | null
  /** S(r) as it was when r was first served: whom the reconcile makes alike. */
  readonly #servedFirstWith: (readonly number[])[] = []

  /** `logOf`: what a member has told of the epoch before; null while it has told nothing. */
  constructor(current: () => Sets, logOf: (peer: number) => OperationLog | null) {
    this.#current = current
    this.#logOf = logOf
  }

  /** Called once for each range of the volume, before anybody may change it. */
  served(range: number): void {
    this.#servedFirstWith[range] = this.#current()[range]!
  }

  fate(operation: LoggedOperation): OperationFate {
    const current = this.#current()
    const first = Math.floor(operation.offsetBytes / RANGE_BYTES)
    const last = Math.floor((operation.offsetBytes + operation.lengthBytes - 1) / RANGE_BYTES)
    const logs: (OperationLog | null)[][] = []
    for (let range = first; range <= last; range++) {
      const counted = this.#servedFirstWith[range] ?? current[range] ?? []
      logs.push(counted.map(peer => this.#logOf(peer)))
    }
    return fateOf(operation, logs)
  }
}
