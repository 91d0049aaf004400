import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Logger } from '../../net/logger.ts'
import type { PeerIdentity, PeerRequestHandler } from '../peer-network.ts'
import type { AcceptedConnection } from './accepted-connection.ts'
import { chooseVersion, type Hello, type Versions } from './hello.ts'
import { checkHello, type NewestConnection } from './hello-checks.ts'
import type { AdmitPeer } from './tcp-peer-link.ts'

export interface AcceptedPeersOptions {
  readonly self: PeerIdentity
  readonly versions: Versions
  readonly admit: AdmitPeer
  readonly handler: () => PeerRequestHandler
  readonly logger: Logger
}

interface Newest extends NewestConnection {
  readonly by: AcceptedConnection
}

/** Which connection of each peer counts: the newest, once everything that came by its older ones has ended. */
export class AcceptedPeers {
  readonly #options: AcceptedPeersOptions
  /** By peer number; only admitted peers are kept. */
  readonly #newest = new Map<number, Newest>()
  /** Those that the handler knows of. */
  readonly #connected = new Set<AcceptedConnection>()

  constructor(options: AcceptedPeersOptions) {
    this.#options = options
  }

  /** Answers a hello, with a refusal where one is due. PROTOCOL rules 1 and 3. */
  async welcome(connection: AcceptedConnection, hello: Hello, certificate: string | null): Promise<void> {
    const { self, versions, logger } = this.#options
    try {
      const version = chooseVersion(versions, hello.versions)
      if (version === null) throw new HoldfastError('ERR_PEER_REFUSED', versionsDiffer(versions, hello))
      this.#check(hello)
      await this.#options.admit(hello.identity, certificate)
      await this.#replace(connection, hello)
      if (!connection.isOpen) return
      const chosen = { lowest: version, highest: version }
      connection.answerHello({ versions: chosen, identity: self, connection: hello.connection })
    } catch (error) {
      logger.warn({ peer: hello.identity.peerId, err: error }, 'a peer was refused')
      const refused =
        error instanceof HoldfastError
          ? { code: error.code, message: error.message }
          : { code: 'ERR_INTERNAL', message: 'the peer failed; its log says more' }
      connection.refuse({ versions, refused }, 'refused')
    }
  }

  /** From the connection, when it has ended. */
  closed(connection: AcceptedConnection): void {
    if (!this.#connected.delete(connection)) return
    this.#options.handler().disconnected(connection.from, connection.connection)
  }

  async #replace(connection: AcceptedConnection, hello: Hello): Promise<void> {
    const { identity } = hello
    // Another one may have come while this one was looked at.
    this.#check(hello)
    if (!connection.isOpen) return
    const older = this.#newest.get(identity.peerNumber)
    this.#newest.set(identity.peerNumber, { identity, connection: hello.connection, by: connection })
    older?.by.close('replaced')
    await this.#options.handler().connected(identity, hello.connection)
    if (connection.isOpen) this.#connected.add(connection)
    else this.#options.handler().disconnected(identity, hello.connection)
  }

  #check(hello: Hello): void {
    const newest = this.#newest.get(hello.identity.peerNumber) ?? null
    checkHello(this.#options.self, hello.identity, hello.connection, newest)
  }
}

function versionsDiffer(ours: Versions, { identity, versions }: Hello): string {
  const theirs = `${versions.lowest} to ${versions.highest}`
  return `peer '${identity.peerId}' speaks versions ${theirs} of the wire, this one ${ours.lowest} to ${ours.highest}`
}
