import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseTargetName } from '../lib/names.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterPortals } from './cluster-portals.ts'
import type { ClusterSessions, SessionsShown } from './cluster-sessions.ts'
import { clusterOverview } from './cluster-view.ts'
import type { ConnectionOperations } from './connection-operations.ts'
import { type ConnectionProperties, connectionProperties } from './connection-properties.ts'
import type {
  ChapChange,
  ClusterEvent,
  ClusterOverview,
  Control,
  Job,
  NewVolume,
  VolumeChange,
  VolumeShown,
} from './control.ts'
import { change } from './draft.ts'
import { type EventSource, trimEvents } from './events.ts'
import type { Jobs } from './jobs.ts'
import type { VolumeHead } from './layout.ts'
import type { PeerOperations } from './peer-operations.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { BrickStatus, Log, VolumeHost } from './ports.ts'
import type { PeerInfo, SessionInfo, TargetRecord } from './records.ts'
import type { ReplicaOperations } from './replica-operations.ts'
import { shownResync } from './resync-view.ts'
import type { ShutOut } from './rights-version.ts'
import type { Serving } from './serving.ts'
import type { Sessions } from './sessions.ts'
import { maskedTarget, peerInfo } from './shown.ts'
import { sizeServed } from './size-served.ts'
import type { TargetOperations } from './target-operations.ts'
import { refuseTargetUsedElsewhere, refuseVolumeUsedElsewhere } from './used-elsewhere.ts'
import type { VolumeOperations } from './volume-operations.ts'
import type { VolumeView } from './volume-view.ts'

export interface ControlParts {
  readonly metadata: MetadataStore
  readonly cluster: Cluster
  readonly catalogue: Catalogue
  readonly serving: Serving
  readonly sessions: Sessions
  readonly clusterSessions: ClusterSessions
  readonly jobs: Jobs
  readonly events: EventSource
  readonly volumes: VolumeOperations
  readonly targets: TargetOperations
  readonly connections: ConnectionOperations
  readonly host: VolumeHost
  readonly brick: BrickStatus
  readonly view: VolumeView
  readonly peers: PeerOperations
  readonly replicas: ReplicaOperations
  readonly peerWatch: PeerWatch
  readonly portals: ClusterPortals
  readonly log: Log
}

/** Control over the metadata, and over what is served here. */
export class ClusterControl implements Control {
  readonly #parts: ControlParts

  constructor(parts: ControlParts) {
    this.#parts = parts
  }

  async createVolume(volume: NewVolume): Promise<VolumeShown> {
    await this.#parts.volumes.create(volume)
    await this.#settled()
    return this.showVolume(volume.name)
  }

  async listVolumes(): Promise<VolumeShown[]> {
    return this.#parts.view.all()
  }

  async showVolume(name: string): Promise<VolumeShown> {
    const head = this.#parts.catalogue.model.volume(name)
    if (head === null || head.state === 'creating') {
      throw new HoldfastError('ERR_VOLUME_NOT_FOUND', `there is no volume '${name}'`)
    }
    return this.#parts.view.shown(name, head)
  }

  async setVolume(name: string, wanted: VolumeChange): Promise<VolumeShown> {
    const { replicas, minReplicas, allowDegraded = false, ...rest } = wanted
    if (replicas !== undefined || minReplicas !== undefined) {
      await this.#parts.volumes.checkSet(name, rest)
      await this.#parts.replicas.set(name, {
        allowDegraded,
        ...(replicas === undefined ? {} : { replicas }),
        ...(minReplicas === undefined ? {} : { minReplicas }),
      })
    }
    await this.#parts.volumes.set(name, rest)
    await this.#settled()
    return this.showVolume(name)
  }

  async resizeVolume(name: string, sizeBytes: number): Promise<VolumeShown> {
    await this.#parts.volumes.resize(name, sizeBytes)
    await this.#settled()
    await sizeServed(this.#parts.serving.volume(name), sizeBytes)
    return this.showVolume(name)
  }

  async deleteVolume(name: string, { force }: { force: boolean }): Promise<Job> {
    const { serving, volumes, jobs, catalogue } = this.#parts
    const release = serving.withhold(name)
    try {
      // One whose creation was left unfinished has been shown to nobody.
      const isUnfinished = catalogue.model.volume(name)?.state === 'creating'
      const usedBytes = isUnfinished ? 0 : (await this.showVolume(name)).usedBytes
      if (!force && !isUnfinished) await this.refuseVolumeInUse(name)
      const sessions = this.#parts.view.sessionsOf(name)
      await this.#kickAll(sessions, `volume ${name} is being deleted`)
      const head = await volumes.beginDelete(name)
      const running = jobs.find('delete', name)
      return running ?? this.finishDelete(name, head, usedBytes)
    } finally {
      release()
    }
  }

  async refuseVolumeInUse(name: string): Promise<void> {
    const sessions = this.#parts.view.sessionsOf(name)
    if (sessions.length > 0) {
      throw new HoldfastError(
        'ERR_VOLUME_BUSY',
        `volume '${name}' is used by ${sessionCount(sessions)}: end them, or use --force`,
      )
    }
    await refuseVolumeUsedElsewhere(this.#parts.serving, name)
  }

  /** Second half of a deletion, also after a restart. */
  finishDelete(name: string, head: VolumeHead, usedBytes: number): Job {
    const { jobs, serving, volumes, log } = this.#parts
    return jobs.start(name, usedBytes, async progress => {
      try {
        await serving.released(name)
        await volumes.finishDelete(name, head, progress)
        await this.#settled()
      } catch (err) {
        log.error(
          { volume: name, err },
          'a deletion did not finish; deleting again or a restart goes on with it',
        )
        throw err
      }
    })
  }

  async connect(volume: string, initiator: string, dialled: string): Promise<ConnectionProperties> {
    const { connections, portals, catalogue } = this.#parts
    const paths = portals.dialledFrom(dialled)
    if (paths.length === 0)
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'no iSCSI portal is open that a client could reach')
    const grant = await connections.grant(volume, initiator)
    await this.#settled()
    return connectionProperties(grant, paths, catalogue.model.discoveryChap)
  }

  async disconnect(volume: string, initiator: string): Promise<void> {
    const revoked = await this.#parts.connections.revoke(volume, initiator)
    await this.#settled()
    // Also those of a connection that was made again meanwhile: older ones cannot be told from them.
    await this.#shutOut(revoked, `its connection to ${volume} ended`)
  }

  async listTargets(): Promise<TargetRecord[]> {
    const { model } = this.#parts.catalogue
    return model.targetNames.map(iqn => maskedTarget(iqn, model.target(iqn)!))
  }

  async showTarget(target: string): Promise<TargetRecord> {
    return this.#shownTarget(parseTargetName(target))
  }

  async createTarget(target: string): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    await this.#parts.targets.create(iqn)
    return this.#afterTarget(iqn)
  }

  async deleteTarget(target: string, { force }: { force: boolean }): Promise<void> {
    const iqn = parseTargetName(target)
    const { luns } = this.#shownTarget(iqn)
    const volumes = luns.map(({ volume }) => volume)
    const sessions = await this.#refuseBusyTarget(iqn, volumes, force)
    await this.#parts.targets.delete(iqn)
    await this.#kickAll(sessions, `target ${iqn} was deleted`)
    await this.#settled()
  }

  async addLun(
    target: string,
    lun: number,
    volume: string,
    { readOnly }: { readOnly: boolean },
  ): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    await this.#parts.targets.addLun(iqn, lun, volume, readOnly)
    return this.#afterTarget(iqn)
  }

  async removeLun(target: string, lun: number, { force }: { force: boolean }): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    const { luns } = this.#shownTarget(iqn)
    const volumes = luns.filter(entry => entry.lun === lun).map(({ volume }) => volume)
    await this.#refuseBusyTarget(iqn, volumes, force)
    await this.#parts.targets.removeLun(iqn, lun)
    return this.#afterTarget(iqn)
  }

  async addAcl(target: string, initiator: string): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    await this.#parts.targets.addAcl(iqn, initiator)
    return this.#afterTarget(iqn)
  }

  async removeAcl(target: string, initiator: string): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    const removed = await this.#parts.targets.removeAcl(iqn, initiator)
    const shown = await this.#afterTarget(iqn)
    if (shown.openToAll) return shown
    await this.#shutOut(removed, `${removed.initiator} was taken off the ACL of ${iqn}`)
    return shown
  }

  async setChap(target: string, chap: ChapChange): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    await this.#parts.targets.setChap(iqn, chap)
    return this.#afterTarget(iqn)
  }

  async clearChap(target: string, initiator: string | null): Promise<TargetRecord> {
    const iqn = parseTargetName(target)
    await this.#parts.targets.clearChap(iqn, initiator)
    return this.#afterTarget(iqn)
  }

  async setDiscoveryChap(chap: Omit<ChapChange, 'initiator'>): Promise<void> {
    await this.#parts.targets.setDiscoveryChap(chap)
  }

  async clearDiscoveryChap(): Promise<void> {
    await this.#parts.targets.clearDiscoveryChap()
  }

  async listSessions(): Promise<SessionsShown> {
    return this.#parts.clusterSessions.list()
  }

  async kickSession(id: string): Promise<void> {
    const initiator = await this.#parts.clusterSessions.kick(id, 'kicked by an operator')
    const { metadata, events } = this.#parts
    await change(metadata, events, async draft => {
      draft.event('session.kicked', id, `session ${id} of ${initiator} was ended by an operator`)
    })
  }

  async listPeers(): Promise<PeerInfo[]> {
    const { catalogue, cluster, brick, peers, peerWatch } = this.#parts
    return catalogue.model.peers.map(({ id, value }) =>
      peerInfo(id, value, {
        registration: catalogue.model.registration(id),
        brick: id === cluster.peerId ? brick : null,
        ranges: peers.rangesOn(value.number),
        lastSeenAt: peerWatch.lastSeenAt(id),
        resync: shownResync(catalogue.model, value.number),
      }),
    )
  }

  async showPeer(id: string): Promise<PeerInfo> {
    const found = (await this.listPeers()).find(peer => peer.id === id)
    if (found === undefined) throw new HoldfastError('ERR_PEER_NOT_FOUND', `there is no peer '${id}'`)
    return found
  }

  async drainPeer(id: string): Promise<PeerInfo> {
    await this.#parts.peers.setDraining(id, true)
    return this.showPeer(id)
  }

  async undrainPeer(id: string): Promise<PeerInfo> {
    await this.#parts.peers.setDraining(id, false)
    return this.showPeer(id)
  }

  async removePeer(id: string, options: { force: boolean }): Promise<void> {
    await this.#parts.peers.remove(id, options)
  }

  async overview(): Promise<ClusterOverview> {
    const { catalogue, peerWatch, cluster } = this.#parts
    return clusterOverview(catalogue, peerWatch, cluster.peerId)
  }

  async recoverVolume(name: string, { off }: { off: readonly string[] }): Promise<VolumeShown> {
    await this.#parts.replicas.recoverWithout(name, off)
    await this.#settled()
    return this.showVolume(name)
  }

  async listEvents(limit: number): Promise<ClusterEvent[]> {
    const { model } = this.#parts.catalogue
    const newest = limit > 0 ? model.eventIds.slice(-limit) : []
    return newest.reverse().flatMap(id => model.event(id) ?? [])
  }

  jobs(): Job[] {
    return this.#parts.jobs.list()
  }

  async startScrub(options: { bytesPerSecond?: number }): Promise<Job> {
    return this.#parts.jobs.startScrub(options)
  }

  /** What was changed is served, and the events are within their bound. */
  async #settled(): Promise<void> {
    const { serving, catalogue, metadata } = this.#parts
    await serving.settled()
    const operations = trimEvents(catalogue.model.eventIds)
    if (operations.length > 0) await metadata.transact({ compare: [], success: operations })
  }

  async #afterTarget(iqn: string): Promise<TargetRecord> {
    await this.#settled()
    return this.#shownTarget(iqn)
  }

  #shownTarget(iqn: string): TargetRecord {
    const target = this.#parts.catalogue.model.target(iqn)
    if (target === null) throw new HoldfastError('ERR_TARGET_NOT_FOUND', `there is no target '${iqn}'`)
    return maskedTarget(iqn, target)
  }

  async #refuseBusyTarget(iqn: string, volumes: readonly string[], force: boolean): Promise<SessionInfo[]> {
    const sessions = this.#parts.sessions.list().filter(session => session.target === iqn)
    if (sessions.length > 0 && !force) {
      throw new HoldfastError(
        'ERR_TARGET_BUSY',
        `target '${iqn}' is used by ${sessionCount(sessions)}: end them, or use --force`,
      )
    }
    if (!force) await refuseTargetUsedElsewhere(this.#parts.serving, iqn, volumes)
    return sessions
  }

  /** Its sessions here end; those at other gateways do when they hear of it, and until then owners refuse them. */
  async #shutOut({ initiator, targets, versions }: ShutOut, reason: string): Promise<void> {
    const { serving, sessions } = this.#parts
    await Promise.all([
      this.#kickAll(sessions.ofInitiator(initiator, targets), reason),
      ...Array.from(versions, ([volume, version]) => serving.fence(volume, initiator, version)),
    ])
  }

  async #kickAll(sessions: readonly SessionInfo[], reason: string): Promise<void> {
    await this.#parts.sessions.kickAll(sessions, reason)
  }
}

function sessionCount(sessions: readonly SessionInfo[]): string {
  const names = [...new Set(sessions.map(({ initiator }) => initiator))].slice(0, 3).join(', ')
  return `${sessions.length} session${sessions.length === 1 ? '' : 's'} (${names})`
}
