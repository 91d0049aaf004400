import type { MetadataStore } from '../../../src/metadata/metadata-store.ts'
import type { LeaseSource } from '../../../src/replication/replication.ts'
import type { SimProcess } from '../world/sim-process.ts'

const TTL_SECONDS = 5
const KEEP_EVERY_MS = 800

/** The lease of one process, kept alive as the daemon's heartbeat does it. */
export class SimLease implements LeaseSource {
  readonly #etcd: MetadataStore
  readonly #process: SimProcess
  #lease: bigint | null = null

  constructor(etcd: MetadataStore, process: SimProcess) {
    this.#etcd = etcd
    this.#process = process
  }

  current(): bigint | null {
    return this.#lease
  }

  begin(): void {
    void this.#beat()
  }

  async #beat(): Promise<void> {
    try {
      if (this.#lease === null) this.#lease = await this.#etcd.grantLease(TTL_SECONDS)
      else if ((await this.#etcd.keepLeaseAlive(this.#lease)) === 0) this.#lease = null
    } catch {
      // Whether it lives is not known: it is kept until etcd says that it is gone.
    }
    this.#process.after(this.#lease === null ? 100 : KEEP_EVERY_MS, () => void this.#beat())
  }
}
