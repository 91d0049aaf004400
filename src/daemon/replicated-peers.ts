import { randomBytes, randomUUID } from 'node:crypto'
import { CataloguePlanner } from '../cluster/catalogue-planner.ts'
import { HeartbeatThread } from '../cluster/heartbeat-thread.ts'
import { LocalHeartbeat } from '../cluster/local-heartbeat.ts'
import { Membership } from '../cluster/membership.ts'
import { ProgressMark } from '../cluster/progress.ts'
import type { Config } from '../config/schema.ts'
import { Catalogue } from '../control/catalogue.ts'
import type { RegistrationValue } from '../control/layout.ts'
import type { Model } from '../control/model.ts'
import { type ClientConnections, Gateway } from '../gateway/gateway.ts'
import type { Log } from '../lib/log.ts'
import { openReplication } from '../replication/open-replication.ts'
import type { PeerIdentity, PeerNetwork } from '../replication/peer-network.ts'
import type { LeaseSource, Replication } from '../replication/replication.ts'
import type { CopyProgress } from '../replication/resync/resync-ports.ts'
import { SharedBudget } from '../replication/resync/shared-budget.ts'
import { VERSIONS } from '../replication/wire/hello.ts'
import { bootTimers } from './boot-timers.ts'
import type { Closers } from './closers.ts'
import { eventTeller } from './cluster-events.ts'
import { DaemonQuestions } from './daemon-questions.ts'
import { Leftovers } from './leftovers.ts'
import type { LocalPeer } from './local-peers.ts'
import { otherGateways } from './other-gateways.ts'
import { type BrokenLink, openPeerLinks } from './peer-links.ts'
import { QuietSegments } from './quiet-segments.ts'
import { ReplicatedHost } from './replicated-host.ts'
import type { Storage } from './storage.ts'
import { VolumeStates } from './volume-states.ts'

/** Of layouts on disk, as the superblock has it. */
const BRICK_FORMAT = 1

const NO_LEASE: LeaseSource = { current: () => null }

/** One peer of this process, at work. */
export interface PeerAtWork extends LocalPeer {
  readonly network: PeerNetwork
  readonly replication: Replication
  readonly gateway: Gateway
  readonly membership: Membership
}

export interface ReplicatedPeers {
  readonly catalogue: Catalogue
  readonly host: ReplicatedHost
  readonly peers: readonly [PeerAtWork, ...PeerAtWork[]]
  readonly questions: DaemonQuestions
  /** Peers that are up and that this daemon cannot speak to, like `c: ECONNREFUSED`. */
  brokenLinks(): string[]
}

export interface ReplicatedPeersOptions {
  readonly config: Config
  readonly storage: Storage
  /** Of the clients that come to this process. */
  readonly connections: ClientConnections
  /** Where clients come, as far as it is open already. */
  readonly portals: () => { readonly iscsi: readonly string[]; readonly nbd: readonly string[] }
  readonly log: Log
  readonly closers: Closers
}

/** Puts the peers of this process to work: registered, linked with the others, following and owning volumes. */
export async function openReplicatedPeers(options: ReplicatedPeersOptions): Promise<ReplicatedPeers> {
  const { storage, config, log, closers, connections } = options
  const { settled } = storage.metadata
  const catalogue = await Catalogue.open(settled, log.child({ area: 'catalogue' }))
  closers.add('catalogue', () => catalogue[Symbol.asyncDispose]())
  const incarnation = randomUUID()
  const own = new Set(storage.peers.map(({ cluster }) => cluster.peerId))
  const isAlone = catalogue.model.peers.every(({ id }) => own.has(id) || !catalogue.model.registration(id))
  const states = new VolumeStates(settled, config, isAlone ? epochsOf(catalogue.model) : new Map())
  const links = await openPeerLinks({
    config,
    peers: storage.peers,
    metadata: storage.metadata.store,
    catalogue,
    incarnation,
    log,
  })
  for (const network of links.networks) closers.add('peer links', () => network[Symbol.asyncDispose]())

  const planner = new CataloguePlanner(catalogue, () => performance.now())
  const { resyncBandwidth, ejectAfter, coldWait, etcdGrace } = config.replication
  const budget = new SharedBudget(resyncBandwidth, bootTimers)

  const questions = new DaemonQuestions({
    network: links.networks[0]!,
    timers: bootTimers,
    model: () => catalogue.model,
    own,
    stores: storage.peers.map(({ brick }) => brick.replicas),
  })
  let peerAddress = ''
  const peers: PeerAtWork[] = []
  for (const [at, peer] of storage.peers.entries()) {
    const network = links.networks[at]!
    const isFirst = at === 0
    const copies = () => copiesOf(peers[at]?.replication)
    const membership = openMembership(options, peer, incarnation, () => ({
      self: network.self,
      peerAddress,
      isFirst,
      copies,
    }))
    closers.add(`membership of ${peer.cluster.peerId}`, () => membership[Symbol.asyncDispose]())
    const gateway = new Gateway({
      network,
      timers: bootTimers,
      log: log.child({ area: 'gateway', peer: peer.cluster.peerId }),
      // Clients come to the first peer's portals only.
      connections: isFirst ? connections : { drop: () => {} },
      otherGateways: () => otherGateways(catalogue.model, own, network),
      rightsVersion: volume => catalogue.model.volume(volume)?.rightsVersion ?? 0,
      openState: owned => states.open(owned, peer.brick),
    })
    const quiet = new QuietSegments(() => gateway.ownedVolumes, log)
    closers.add('quiet segments', () => quiet[Symbol.dispose]())
    const replication = openReplication({
      network,
      store: peer.brick.replicas,
      metadata: storage.metadata.store,
      timers: bootTimers,
      // Owners beside the gateway would only put a link between it and its volumes.
      lease: isFirst ? membership : NO_LEASE,
      randomBytes,
      server: gateway,
      log: log.child({ area: 'replication', peer: peer.cluster.peerId }),
      tellEvent: eventTeller(settled, catalogue, peer.cluster.peerId, log),
      peerName: number => idOf(catalogue.model, number) ?? String(number),
      config: { ejectAfterMs: ejectAfter, coldWaitMs: coldWait, etcdGraceMs: etcdGrace },
      planner,
      budget,
      aboveActiveTarget: active => quiet.aboveTarget(active),
    })
    closers.add(`replication of ${peer.cluster.peerId}`, () => replication[Symbol.asyncDispose]())
    const handler = gateway.start(replication)
    network.serve(isFirst ? questions.answering(handler) : handler)
    peers.push({ ...peer, network, replication, gateway, membership })
  }
  peerAddress = await links.listen()
  for (const { membership } of peers) await membership.start()
  for (const { replication, cluster } of peers) {
    await replication.start()
    const { peerNumber } = cluster
    const leftovers = new Leftovers({ metadata: settled, replication, peerNumber, log })
    closers.add('leftovers', () => leftovers[Symbol.dispose]())
  }
  const [first, ...rest] = peers as [PeerAtWork, ...PeerAtWork[]]
  const host = new ReplicatedHost({
    network: first.network,
    metadata: settled,
    gateway: first.gateway,
    replication: first.replication,
    bricks: peers.map(({ brick }) => brick),
    log,
  })
  const brokenLinks = () => namedLinks(catalogue.model, links.broken())
  return { catalogue, host, peers: [first, ...rest], questions, brokenLinks }
}

function namedLinks(model: Model, broken: readonly BrokenLink[]): string[] {
  return broken.flatMap(({ peerNumber, why }) => {
    const id = idOf(model, peerNumber)
    return id === undefined || model.registration(id) === null ? [] : [`${id}: ${why}`]
  })
}

function idOf(model: Model, peerNumber: number): string | undefined {
  return model.peers.find(({ value }) => value.number === peerNumber)?.id
}

/** By uuid of each volume that there is now. */
function epochsOf(model: Model): Map<string, number> {
  const heads = model.volumeNames.map(name => model.volume(name)!)
  return new Map(heads.map(({ uuid, epoch }) => [uuid, epoch]))
}

function copiesOf(replication: Replication | undefined): CopyProgress[] {
  return replication?.statistics().owned.flatMap(({ copy }) => copy ?? []) ?? []
}

interface Surroundings {
  readonly self: PeerIdentity
  readonly peerAddress: string
  readonly isFirst: boolean
  /** Copies that owners here have under way. */
  readonly copies: () => readonly CopyProgress[]
}

/** Nothing while nothing is copied, so that the registration is not written again for it. */
function copyValues(copies: readonly CopyProgress[]): Pick<RegistrationValue, 'copies'> {
  if (copies.length === 0) return {}
  return {
    copies: copies.map(({ volumeUuid, joins, regionsDone, regionsTotal, bytesPerSecond, etaMs }) => ({
      ...{ volumeUuid, to: joins, regionsDone, regionsTotal },
      bytesPerSecond: Math.round(bytesPerSecond),
      etaSeconds: etaMs === null ? null : Math.ceil(etaMs / 1000),
    })),
  }
}

function openMembership(
  { storage, portals, log }: ReplicatedPeersOptions,
  { cluster, brick, disk }: LocalPeer,
  incarnation: string,
  now: () => Surroundings,
): Membership {
  const { store, etcd } = storage.metadata
  const startedAt = new Date().toISOString()
  const registration = (): RegistrationValue => {
    const { self, peerAddress, isFirst, copies } = now()
    return {
      number: cluster.peerNumber,
      incarnation,
      bootId: self.bootId,
      brick: brick.uuid,
      openCounter: brick.openCounter,
      capacityBytes: brick.capacity.limitBytes,
      usedBytes: brick.capacity.usedBytes,
      ...(brick.failure === null ? {} : { brickFailed: true }),
      peerAddress,
      portals: isFirst ? portals().iscsi : [],
      nbd: isFirst ? portals().nbd : [],
      formats: { brick: BRICK_FORMAT, wire: [VERSIONS.lowest, VERSIONS.highest] },
      startedAt,
      ...copyValues(copies()),
    }
  }
  const heartbeat =
    etcd === null
      ? new LocalHeartbeat(store, log)
      : new HeartbeatThread(etcd, new ProgressMark(), () => disk.oldestMs, log)
  return new Membership({ metadata: store, heartbeat, peerId: cluster.peerId, registration, log })
}
