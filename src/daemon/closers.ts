import type { Log } from '../lib/log.ts'

interface Closer {
  readonly name: string
  readonly close: () => unknown
}

/** What was opened so far, closed in reverse: after a failed start as well as at the end. */
export class Closers implements AsyncDisposable {
  readonly #log: Log
  readonly #closers: Closer[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /** `name` stands in the log should `close` fail. */
  add(name: string, close: () => unknown): void {
    this.#closers.push({ name, close })
  }

  /** Closes everything once; one failure does not keep the rest open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      try {
        await closer.close()
      } catch (error) {
        this.#log.error({ err: error, part: closer.name }, 'closing failed')
      }
    }
  }
}
