import type { SessionInfo } from '../lib/session-info.ts'
import type { Session } from './session.ts'

/** A session as the API shows it. */
export function sessionInfo(session: Session): SessionInfo {
  const { outcome, parameters, stats, link } = session
  return {
    id: String(session.id),
    protocol: 'iscsi',
    kind: outcome.sessionType,
    initiator: outcome.initiatorName,
    isid: outcome.isid,
    target: session.target?.name ?? null,
    portal: link.localAddress,
    remoteAddress: link.remoteAddress,
    connectedAt: session.connectedAt.toISOString(),
    commandsInFlight: stats.io.inFlight,
    readBytes: stats.io.readBytes,
    writtenBytes: stats.io.writtenBytes,
    headerDigest: parameters.headerDigest,
    dataDigest: parameters.dataDigest,
  }
}
