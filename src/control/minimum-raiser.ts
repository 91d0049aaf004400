import type { Catalogue } from './catalogue.ts'
import { type Clock, wallClock } from './clock.ts'
import type { Log } from './ports.ts'
import type { ReplicaOperations } from './replica-operations.ts'

const RETRY_MS = 2_000

export interface MinimumRaiserOptions {
  readonly catalogue: Catalogue
  readonly replicas: ReplicaOperations
  /** Raises M of the volumes that this peer owns. */
  readonly peerId: string
  readonly log: Log
  readonly clock?: Clock
}

/** Has M of a volume follow when every range has as many replicas in sync as were asked for. */
export class MinimumRaiser implements Disposable {
  readonly #options: MinimumRaiserOptions
  readonly #clock: Clock
  readonly #stopListening: () => void
  readonly #retries = new Set<string>()
  #stopped = false

  constructor(options: MinimumRaiserOptions) {
    this.#options = options
    this.#clock = options.clock ?? wallClock
    this.#stopListening = options.catalogue.onChange(({ volumes }) => {
      for (const name of volumes) this.#look(name)
    })
    for (const name of options.catalogue.model.volumeNames) this.#look(name)
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    this.#stopListening()
  }

  #look(name: string): void {
    const { catalogue, replicas, peerId, log } = this.#options
    const isDue = catalogue.model.volume(name)?.minReplicasWanted !== undefined
    if (this.#stopped || !isDue || catalogue.model.owner(name)?.peer !== peerId) return
    replicas.raiseMinimum(name).catch(err => {
      log.warn({ volume: name, err }, 'M could not be raised')
      this.#retry(name)
    })
  }

  #retry(name: string): void {
    if (this.#retries.has(name)) return
    this.#retries.add(name)
    this.#clock.after(RETRY_MS, () => {
      this.#retries.delete(name)
      this.#look(name)
    })
  }
}
