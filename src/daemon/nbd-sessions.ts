import type { SessionSource } from '../control/ports.ts'
import type { SessionInfo } from '../control/records.ts'
import type { Log } from '../lib/log.ts'
import type { NbdServer } from '../nbd/nbd-server.ts'

const PREFIX = 'nbd-'

/** The sessions of the NBD server under ids that no other protocol's have. */
export class NbdSessions implements SessionSource {
  readonly #server: NbdServer
  readonly #log: Log

  constructor(server: NbdServer, log: Log) {
    this.#server = server
    this.#log = log
  }

  sessions(): SessionInfo[] {
    return this.#server
      .sessions()
      .map(({ id, client, stats, portal, remoteAddress, connectedAt, ...rest }) => ({
        id: `${PREFIX}${id}`,
        protocol: 'nbd',
        kind: 'normal',
        initiator: client,
        isid: null,
        target: rest.export,
        portal,
        remoteAddress,
        connectedAt: connectedAt.toISOString(),
        commandsInFlight: stats.inFlight,
        readBytes: stats.readBytes,
        writtenBytes: stats.writtenBytes,
        headerDigest: false,
        dataDigest: false,
      }))
  }

  kick(id: string, reason: string): boolean {
    if (!id.startsWith(PREFIX)) return false
    const kicked = this.#server.kick({ id: id.slice(PREFIX.length) }) > 0
    if (kicked) this.#log.info({ sessionId: id, reason }, 'session kicked')
    return kicked
  }

  /** With their counters, for the metrics. */
  *measured() {
    for (const { id, client, stats, ...rest } of this.#server.sessions()) {
      yield { session: `${PREFIX}${id}`, initiator: client, target: rest.export, stats }
    }
  }
}
