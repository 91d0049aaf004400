import type { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import { sessionInfo } from '../iscsi-target/session-info.ts'
import type { Log } from '../lib/log.ts'
import { type LiveSession, ProtocolSessions } from './protocol-sessions.ts'

/** The sessions of the iSCSI target. */
export class IscsiSessions extends ProtocolSessions {
  readonly #target: IscsiTarget

  constructor(target: IscsiTarget, log: Log) {
    super('iscsi', log)
    this.#target = target
  }

  protected override *live(): Iterable<LiveSession> {
    for (const session of this.#target.liveSessions()) {
      yield { info: sessionInfo(session), stats: session.stats.io }
    }
  }

  protected override end(id: string): Promise<number> {
    return this.#target.kick({ id })
  }
}
