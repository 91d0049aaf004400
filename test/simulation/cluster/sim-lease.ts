import { LEASE_TTL_SECONDS } from '../../../src/cluster/heartbeat.ts'
import { LeaseKeeper } from '../../../src/cluster/lease-keeper.ts'
import { ProgressMark, ProgressWatch } from '../../../src/cluster/progress.ts'
import type { Every } from '../../../src/lib/every.ts'
import type { LeaseSource } from '../../../src/replication/replication.ts'
import type { SimProcess } from '../world/sim-process.ts'
import type { DaemonParts } from './sim-peer.ts'

const NS_PER_MS = 1e6
/** Between two threads of a process. */
const MESSAGE_MS = 0.05

/** The lease of one daemon, kept alive by a thread of its own while the main one and the disk make progress. */
export class SimLease implements LeaseSource {
  readonly #parts: DaemonParts
  #lease: bigint | null = null
  #keeper: LeaseKeeper | null = null

  constructor(parts: DaemonParts) {
    this.#parts = parts
  }

  current(): bigint | null {
    return this.#lease
  }

  /** As Membership ends: the others see at once that this peer is gone. */
  async end(): Promise<void> {
    this.#keeper?.[Symbol.dispose]()
    if (this.#lease !== null) await this.#parts.etcd.revokeLease(this.#lease).catch(() => {})
  }

  begin(): void {
    const { process, heartbeat, brick } = this.#parts
    const nowNs = () => BigInt(Math.round(process.bootMs() * NS_PER_MS))
    const mark = new ProgressMark(undefined, nowNs)
    new ProgressWatch(mark, () => brick.oldestIoMs, everyOf(process))
    this.#keeper = new LeaseKeeper({
      store: heartbeat.etcd,
      ttlSeconds: LEASE_TTL_SECONDS,
      isWell: () => mark.isFresh(),
      changed: lease =>
        process.post(MESSAGE_MS, () => {
          this.#lease = lease
        }),
      failed: () => {},
      every: everyOf(heartbeat.thread),
    })
  }
}

function everyOf(process: SimProcess): Every {
  return (ms, run) => {
    let stopped = false
    const next = () => {
      if (stopped) return
      process.after(ms, next)
      run()
    }
    process.after(ms, next)
    return () => {
      stopped = true
    }
  }
}
