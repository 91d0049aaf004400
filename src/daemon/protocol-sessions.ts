import type { SessionSource } from '../control/ports.ts'
import type { IoStats } from '../lib/io-stats.ts'
import type { Log } from '../lib/log.ts'
import type { SessionInfo } from '../lib/session-info.ts'

/** A session of one server, under the id that it has there. */
export interface LiveSession {
  readonly info: SessionInfo
  readonly stats: IoStats
}

/** The sessions of the server of one protocol, under ids that no other protocol's have. */
export abstract class ProtocolSessions implements SessionSource {
  readonly #prefix: string
  readonly #log: Log

  constructor(protocol: SessionInfo['protocol'], log: Log) {
    this.#prefix = `${protocol}-`
    this.#log = log
  }

  protected abstract live(): Iterable<LiveSession>

  /** Ends the session of this id; resolves to how many those were when nothing of them is in flight. */
  protected abstract end(id: string): Promise<number>

  sessions(): SessionInfo[] {
    return Array.from(this.live(), ({ info }) => ({ ...info, id: this.#prefix + info.id }))
  }

  async kick(id: string, reason: string): Promise<boolean> {
    if (!id.startsWith(this.#prefix)) return false
    const kicked = (await this.end(id.slice(this.#prefix.length))) > 0
    if (kicked) this.#log.info({ sessionId: id, reason }, 'session kicked')
    return kicked
  }

  /** With their counters, for the metrics. */
  *measured() {
    for (const { info, stats } of this.live()) {
      const { id, initiator, target } = info
      yield { session: this.#prefix + id, initiator, target: target ?? '', stats }
    }
  }
}
