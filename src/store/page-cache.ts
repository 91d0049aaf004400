import { LRUCache } from 'lru-cache'
import { Errno } from '../lib/system-calls.ts'
import type { StoreFiles } from './files/store-files.ts'
import { PAGE_BYTES } from './layout.ts'

/** One page of a side file. There is at most one object per page that anybody may change. */
export class CachedPage {
  readonly bytes: Buffer
  readonly words: Uint32Array

  constructor() {
    this.bytes = Buffer.from(new ArrayBuffer(PAGE_BYTES))
    this.words = new Uint32Array(this.bytes.buffer)
  }
}

export interface PagePlace {
  readonly fd: number
  readonly offsetBytes: number
}

interface Loading {
  ended: Promise<number>
  /** The page was reset while it was read: what comes may be from before. */
  isStale: boolean
}

/**
 * Pages of side files under a byte limit. Whoever changes a page writes it through in the same turn of the
 * event loop, so that any page can be forgotten at any time.
 */
export class PageCache {
  readonly #files: StoreFiles
  readonly #place: (key: number) => PagePlace
  readonly #pages: LRUCache<number, CachedPage>
  readonly #loading = new Map<number, Loading>()

  constructor(files: StoreFiles, limitBytes: number, place: (key: number) => PagePlace) {
    this.#files = files
    this.#place = place
    this.#pages = new LRUCache({ max: Math.max(1, Math.floor(limitBytes / PAGE_BYTES)) })
  }

  /** The page, when it is here. Use it in this turn of the event loop only. */
  peek(key: number): CachedPage | undefined {
    return this.#pages.get(key)
  }

  /** Brings a page in: 0 or a negative errno. Another one may push it out again before the caller looks. */
  load(key: number): Promise<number> {
    if (this.#pages.has(key)) return Promise.resolve(0)
    const known = this.#loading.get(key)
    if (known !== undefined) return known.ended
    const loading: Loading = { ended: Promise.resolve(0), isStale: false }
    this.#loading.set(key, loading)
    loading.ended = this.#read(key, loading).finally(() => {
      if (this.#loading.get(key) === loading) this.#loading.delete(key)
    })
    return loading.ended
  }

  /** A page that is known to be all zeroes on disk. */
  putZeroes(key: number): void {
    this.#spoilLoading(key)
    this.#pages.set(key, new CachedPage())
  }

  /** Of what is no more; whoever is just reading it brings nothing in. */
  forget(key: number): void {
    this.#spoilLoading(key)
    this.#pages.delete(key)
  }

  #spoilLoading(key: number): void {
    const loading = this.#loading.get(key)
    if (loading !== undefined) loading.isStale = true
    this.#loading.delete(key)
  }

  async #read(key: number, loading: Loading): Promise<number> {
    const { fd, offsetBytes } = this.#place(key)
    const page = new CachedPage()
    let result = this.#files.preadNow(fd, page.bytes, 0, PAGE_BYTES, offsetBytes)
    if (result === -Errno.EAGAIN || result === -Errno.EOPNOTSUPP || (result >= 0 && result < PAGE_BYTES)) {
      page.bytes.fill(0)
      result = await new Promise<number>(resolve => {
        this.#files.read(fd, page.bytes, 0, PAGE_BYTES, offsetBytes, resolve)
      })
    }
    if (result < 0) return result
    if (loading.isStale) return 0
    this.#pages.set(key, page)
    return 0
  }
}
