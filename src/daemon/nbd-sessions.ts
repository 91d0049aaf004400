import type { Log } from '../lib/log.ts'
import type { NbdServer } from '../nbd/nbd-server.ts'
import { type LiveSession, ProtocolSessions } from './protocol-sessions.ts'

/** The sessions of the NBD server. */
export class NbdSessions extends ProtocolSessions {
  readonly #server: NbdServer

  constructor(server: NbdServer, log: Log) {
    super('nbd', log)
    this.#server = server
  }

  protected override *live(): Iterable<LiveSession> {
    for (const {
      id,
      client,
      stats,
      portal,
      remoteAddress,
      connectedAt,
      ...rest
    } of this.#server.sessions()) {
      const info = {
        id,
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
      } as const
      yield { info, stats }
    }
  }

  protected override end(id: string): Promise<number> {
    return this.#server.kick({ id })
  }
}
