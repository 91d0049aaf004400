import { readFileSync } from 'node:fs'
import { PeerAdmission } from '../cluster/admit-peer.ts'
import { formatHostPort, parseHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import type { Catalogue } from '../control/catalogue.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PeerIdentity, PeerNetwork } from '../replication/peer-network.ts'
import type { PeerAddress } from '../replication/wire/dialled-connection.ts'
import { LocalPeerHub } from '../replication/wire/local-peer-network.ts'
import { TcpPeerNetwork } from '../replication/wire/tcp-peer-network.ts'
import type { LocalPeer } from './local-peers.ts'
import { loadAuthority, loadKeyPair } from './tls-files.ts'

export interface PeerLinks {
  readonly networks: readonly (PeerNetwork & AsyncDisposable)[]
  /** Begins to accept, once every network serves; answers where other daemons reach this one. */
  listen(): Promise<string>
  /** Daemons that cannot be spoken to now, each with the reason. */
  broken(): readonly BrokenLink[]
}

export interface BrokenLink {
  readonly peerNumber: number
  readonly why: string
}

export interface PeerLinksOptions {
  readonly config: Config
  readonly peers: readonly LocalPeer[]
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly incarnation: string
  readonly log: Log
}

/** The ways between peers: over TCP where there is etcd, else within this process. */
export async function openPeerLinks(options: PeerLinksOptions): Promise<PeerLinks> {
  const { config, peers, incarnation, log } = options
  const identities = peers.map(peer => identityOf(peer, incarnation))
  if (config.etcd.urls.length === 0) {
    const hub = new LocalPeerHub(log.child({ area: 'peers' }))
    return {
      networks: identities.map(self => hub.join(self)),
      listen: async () => 'this process',
      broken: () => [],
    }
  }
  const network = await openTcp(options, identities[0]!)
  const { host, port } = config.peer.listen
  return {
    networks: [network],
    async listen() {
      const address = await network.listen(host, port)
      return config.advertisePeer === null ? address : formatHostPort(config.advertisePeer)
    },
    broken: () =>
      network
        .traffic()
        .flatMap(({ peerNumber, isUp, failure }) =>
          isUp ? [] : [{ peerNumber, why: failure ?? 'not connected yet' }],
        ),
  }
}

async function openTcp(options: PeerLinksOptions, self: PeerIdentity): Promise<TcpPeerNetwork> {
  const { config, metadata, catalogue, log } = options
  const admission = new PeerAdmission(metadata, self.clusterId)
  return new TcpPeerNetwork({
    self,
    addressOf: number => addressOf(catalogue, number),
    admit: (from, certificateName) => admission.admit(from, certificateName),
    tls: config.peer.tls === 'off' || config.tlsDir === null ? null : await readPeerTls(config.tlsDir),
    allowPlain: config.peer.allowPlain,
    logger: log.child({ area: 'peers' }),
  })
}

async function readPeerTls(directory: string) {
  return {
    ...(await loadKeyPair('tlsDir', directory)),
    ca: await loadAuthority('tlsDir', directory),
  }
}

/** Where the peer says it is, while it is alive; null else. */
function addressOf({ model }: Catalogue, number: number): PeerAddress | null {
  const id = model.peers.find(({ value }) => value.number === number)?.id
  const registration = id === undefined ? null : model.registration(id)
  return registration === null ? null : parseHostPort(registration.peerAddress)
}

function identityOf({ cluster, brick }: LocalPeer, incarnation: string): PeerIdentity {
  return {
    clusterId: cluster.clusterId,
    peerId: cluster.peerId,
    peerNumber: cluster.peerNumber,
    brickUuid: brick.uuid,
    openCounter: brick.openCounter,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    incarnation,
  }
}
