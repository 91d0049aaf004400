import { COPY_RESULTS_MAX } from './copy-limits.ts'

/** What is known of one EXTENDED COPY of an I_T nexus, while it runs and afterwards. */
export interface CopyResult {
  state: 'running' | 'done' | 'failed'
  segmentsDone: number
  copiedBytes: number
  /** Status and sense of the command, once it has failed. */
  failure: { readonly status: number; readonly sense: Buffer } | null
}

/** The copies of one I_T nexus by their LIST IDENTIFIER. SPC-5 §5.18.7.2. */
export class CopyResults {
  readonly #byListId = new Map<number, CopyResult>()

  find(listId: number): CopyResult | undefined {
    return this.#byListId.get(listId)
  }

  /** Null when a copy with this identifier is still running. Without an identifier nothing is held. */
  begin(listId: number | null): CopyResult | null {
    const result: CopyResult = { state: 'running', segmentsDone: 0, copiedBytes: 0, failure: null }
    if (listId === null) return result
    if (this.#byListId.get(listId)?.state === 'running') return null
    this.#byListId.delete(listId)
    this.#byListId.set(listId, result)
    if (this.#byListId.size > COPY_RESULTS_MAX) this.#forgetOldest()
    return result
  }

  /** A copy that was taken back has no result. */
  forget(result: CopyResult): void {
    for (const [listId, held] of this.#byListId) if (held === result) this.#byListId.delete(listId)
  }

  #forgetOldest(): void {
    for (const [listId, { state }] of this.#byListId) {
      if (state === 'running') continue
      this.#byListId.delete(listId)
      return
    }
  }
}
