import type { SessionSource } from '../control/ports.ts'
import type { SessionInfo } from '../control/records.ts'
import type { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import type { Log } from '../lib/log.ts'

const PREFIX = 'iscsi-'

/** The sessions of the iSCSI target under ids that no other protocol's have. */
export class IscsiSessions implements SessionSource {
  readonly #target: IscsiTarget
  readonly #log: Log

  constructor(target: IscsiTarget, log: Log) {
    this.#target = target
    this.#log = log
  }

  sessions(): SessionInfo[] {
    return this.#target.sessions().map(session => ({ ...session, id: `${PREFIX}${session.id}` }))
  }

  async kick(id: string, reason: string): Promise<boolean> {
    if (!id.startsWith(PREFIX)) return false
    const kicked = (await this.#target.kick({ id: id.slice(PREFIX.length) })) > 0
    if (kicked) this.#log.info({ sessionId: id, reason }, 'session kicked')
    return kicked
  }

  /** With their counters, for the metrics. */
  *measured() {
    for (const session of this.#target.liveSessions()) {
      yield {
        session: `${PREFIX}${session.id}`,
        initiator: session.outcome.initiatorName,
        target: session.target?.name ?? '',
        stats: session.stats.io,
      }
    }
  }
}
