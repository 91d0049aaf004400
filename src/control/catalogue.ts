import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore, Watch, WatchEvent } from '../metadata/metadata-store.ts'
import { type Clock, wallClock } from './clock.ts'
import { type CatalogueChange, Model, noChange } from './model.ts'
import type { Log } from './ports.ts'

const PAGE_KEYS = 500
const RELOAD_AFTER_MS = { first: 100, most: 5000 } as const
/** How long a change of ours may take to come back through the watch. */
const CATCH_UP_MS = 5000
/** How long the answer to a login waits for the proof that there is no such target. */
const PROOF_MS = 2000

type Listener = (change: CatalogueChange) => void

/** The metadata in memory, kept up to date by a watch: look-ups wait for nothing. */
export class Catalogue implements AsyncDisposable {
  readonly #store: MetadataStore
  readonly #log: Log
  readonly #clock: Clock
  readonly #listeners = new Set<Listener>()
  readonly #waiting = new Set<() => void>()
  #model = new Model()
  #revision = 0n
  #current = false
  #connected = true
  #watch: Watch | null = null
  #reload: ReturnType<Clock['after']> | null = null
  #reloadAfterMs: number = RELOAD_AFTER_MS.first
  #closed = false

  private constructor(store: MetadataStore, log: Log, clock: Clock) {
    this.#store = store
    this.#log = log
    this.#clock = clock
  }

  /** Reads everything once; rejects when that fails, so that nobody starts on half a catalogue. */
  static async open(store: MetadataStore, log: Log, clock: Clock = wallClock): Promise<Catalogue> {
    const catalogue = new Catalogue(store, log, clock)
    await catalogue.#load()
    return catalogue
  }

  get model(): Model {
    return this.#model
  }

  /** That the model is of. */
  get revision(): bigint {
    return this.#revision
  }

  /** False while all of it has to be read anew. */
  get current(): boolean {
    return this.#current
  }

  /** False also while changes cannot come: then nothing may be concluded from what is missing here. */
  get complete(): boolean {
    return this.#current && this.#connected
  }

  /**
   * Whether this key is certainly not there now: asks the metadata, whatever the model says. False when that does not
   * answer in time.
   */
  async isAbsent(key: string): Promise<boolean> {
    return new Promise(resolve => {
      const timer = this.#clock.after(PROOF_MS, () => resolve(false))
      const answer = (isAbsent: boolean) => {
        timer.cancel()
        resolve(isAbsent)
      }
      this.#store.get(key).then(
        entry => answer(entry === null),
        () => answer(false),
      )
    })
  }

  /** `listener` is called after the model has changed, with what did; the answer takes it off again. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when the model holds `revision`; rejects with ERR_METADATA_UNAVAILABLE after 5 s. */
  async reached(revision: bigint): Promise<void> {
    const deadline = Date.now() + CATCH_UP_MS
    while (this.#revision < revision) {
      const left = deadline - Date.now()
      if (left <= 0 || this.#closed) throw new HoldfastError('ERR_METADATA_UNAVAILABLE')
      await this.#nextChange(left)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#current = false
    this.#reload?.cancel()
    this.#listeners.clear()
    this.#wake()
    await this.#watch?.[Symbol.asyncDispose]()
  }

  async #load(): Promise<void> {
    const model = new Model()
    const change = noChange()
    let startAfter: string | undefined
    let first = 0n
    let newest = 0n
    for (;;) {
      const page = await this.#store.range('', {
        limit: PAGE_KEYS,
        ...(startAfter === undefined ? {} : { startAfter }),
      })
      first ||= page.revision
      for (const entry of page.entries) {
        model.apply(entry.key, entry, entry.modRevision, change)
        if (entry.modRevision > newest) newest = entry.modRevision
      }
      startAfter = page.entries.at(-1)?.key
      if (!page.more || startAfter === undefined) break
    }
    await this.#follow(model, first, newest, change)
  }

  /**
   * Watches from the first page on: whatever changed while the pages were read comes again, and in full. Ready
   * when the newest of what was read has come.
   */
  async #follow(model: Model, first: bigint, newest: bigint, change: CatalogueChange): Promise<void> {
    let live = true
    let revision = first
    let caughtUp: () => void = () => {}
    let failed: (error: Error) => void = () => {}
    const ready = new Promise<void>((resolve, reject) => {
      caughtUp = resolve
      failed = reject
    })
    // A watch may be lost while it is still being made.
    ready.catch(() => {})
    const watch = await this.#store.watch('', first + 1n, {
      changed: (events, at) => {
        if (!live) return
        const changed = noChange()
        applyEvents(model, events, changed)
        revision = at
        if (this.#model === model) this.#advance(at, changed)
        else if (at >= newest) caughtUp()
      },
      lost: error => {
        live = false
        failed(error)
        if (this.#model === model) this.#lose(error)
      },
      connected: is => {
        if (live) this.#connected = is
      },
    })
    if (newest > first) await ready
    if (!live) await ready
    for (const name of this.#model.volumeNames) change.volumes.add(name)
    for (const name of this.#model.targetNames) change.targets.add(name)
    for (const { id } of this.#model.peers) change.peers.add(id)
    this.#watch = watch
    this.#model = model
    this.#current = true
    this.#reloadAfterMs = RELOAD_AFTER_MS.first
    this.#advance(revision, change)
  }

  #advance(revision: bigint, change: CatalogueChange): void {
    this.#revision = revision
    if (change.volumes.size + change.targets.size + change.peers.size > 0) {
      for (const listener of [...this.#listeners]) listener(change)
    }
    this.#wake()
  }

  #lose(error: Error): void {
    if (this.#closed) return
    if (this.#current) this.#log.warn({ err: error }, 'the catalogue lost its watch and loads again')
    this.#current = false
    this.#reload = this.#clock.after(this.#reloadAfterMs, () => {
      this.#load().catch((failure: Error) => this.#lose(failure))
    })
    this.#reloadAfterMs = Math.min(2 * this.#reloadAfterMs, RELOAD_AFTER_MS.most)
  }

  async #nextChange(withinMs: number): Promise<void> {
    await new Promise<void>(resolve => {
      const done = () => {
        timer.cancel()
        this.#waiting.delete(done)
        resolve()
      }
      const timer = this.#clock.after(withinMs, done)
      this.#waiting.add(done)
    })
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}

function applyEvents(model: Model, events: readonly WatchEvent[], change: CatalogueChange): void {
  for (const event of events) {
    if (event.type === 'put') model.apply(event.entry.key, event.entry, event.entry.modRevision, change)
    else model.apply(event.key, null, event.modRevision, change)
  }
}
