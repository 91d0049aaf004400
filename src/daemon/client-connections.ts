import type { ClientConnections } from '../gateway/gateway.ts'
import type { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import type { Log } from '../lib/log.ts'
import type { NbdServer } from '../nbd/nbd-server.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'

export interface ClientServers {
  readonly iscsi: IscsiTarget
  readonly nbd: NbdServer
  /** Targets that have the volume as a LUN. */
  targetsOf(volume: string): readonly string[]
}

/** Ends connections of clients whose writes go by another gateway now; nothing more of them is read. */
export class LocalClients implements ClientConnections {
  /** Null until clients can come. */
  servers: ClientServers | null = null
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  drop(volume: string, client: ClientIdentity): void {
    if (this.servers === null || client.protocol === 'internal') return
    const { iscsi, nbd, targetsOf } = this.servers
    this.#log.info({ volume, client }, 'the connections of a client are closed')
    const ended =
      client.protocol === 'nbd'
        ? [nbd.kick({ export: volume })]
        : targetsOf(volume).map(target => iscsi.kick({ initiator: client.initiatorName, target }))
    Promise.all(ended).catch(err => this.#log.error({ volume, err }, 'connections could not be closed'))
  }
}
