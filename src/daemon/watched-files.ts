import type { FileThread } from '../store/files/file-task.ts'
import { realFiles, type StoreFiles } from '../store/files/store-files.ts'

/** How long what a brick asked of its disk on threads has been under way. */
export class DiskWatch {
  readonly #beganAtMs = new Set<{ readonly atMs: number }>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
  }

  /** Of the oldest operation that has not ended; 0 when there is none. */
  get oldestMs(): number {
    const [oldest] = this.#beganAtMs
    return oldest === undefined ? 0 : this.#nowMs() - oldest.atMs
  }

  /** The files that a brick is opened with. */
  files(files: StoreFiles = realFiles): StoreFiles {
    return { ...files, startThread: idleMsMax => this.#watched(files.startThread(idleMsMax)) }
  }

  #watched(thread: FileThread): FileThread {
    return {
      run: async task => {
        const begun = { atMs: this.#nowMs() }
        this.#beganAtMs.add(begun)
        try {
          return await thread.run(task)
        } finally {
          this.#beganAtMs.delete(begun)
        }
      },
      close: () => thread.close(),
    }
  }
}
