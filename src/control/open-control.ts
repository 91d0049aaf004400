import { randomBytes } from 'node:crypto'
import type { TargetDirectory } from '../iscsi-target/target-directory.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { ExportDirectory } from '../nbd/export-directory.ts'
import { Catalogue } from './catalogue.ts'
import type { Cluster } from './cluster.ts'
import { ClusterControl } from './cluster-control.ts'
import { ClusterPortals } from './cluster-portals.ts'
import { ClusterSessions, nobodyElse } from './cluster-sessions.ts'
import { ConnectionOperations } from './connection-operations.ts'
import type { Control } from './control.ts'
import { CatalogueDirectory } from './directory.ts'
import { EventSource } from './events.ts'
import { CatalogueExports } from './exports.ts'
import { Jobs } from './jobs.ts'
import { LostRights } from './lost-rights.ts'
import { MinimumRaiser } from './minimum-raiser.ts'
import { PeerOperations } from './peer-operations.ts'
import { PeerWatch } from './peer-watch.ts'
import type { BrickStatus, Log, NbdPortal, OtherDaemons, Portal, TargetFactory, VolumeHost } from './ports.ts'
import { ReplicaOperations } from './replica-operations.ts'
import { Serving } from './serving.ts'
import { Sessions } from './sessions.ts'
import { TargetOperations } from './target-operations.ts'
import { VolumeOperations } from './volume-operations.ts'
import { NAA_COMPANY_ID_DEFAULT, parseCompanyId } from './volume-rules.ts'
import { VolumeView } from './volume-view.ts'

export interface ControlOptions {
  readonly metadata: MetadataStore
  /** Of that metadata, when it is open already; else it is opened, and closed with the plane. */
  readonly catalogue?: Catalogue
  /** From joinCluster: who we are. */
  readonly cluster: Cluster
  readonly host: VolumeHost
  readonly brick: BrickStatus
  readonly targetFactory: TargetFactory
  /** Absent where there are none. */
  readonly others?: OtherDaemons
  /** iSCSI listeners that are up, in their order; asked at each SendTargets and each `volume show`. */
  readonly portals: () => readonly Portal[]
  /** NBD listeners that are up. */
  readonly nbdPortals?: () => readonly NbdPortal[]
  /** The volume for NBD clients that name none. */
  readonly nbdDefaultExport?: string | null
  /** NBD clients may grow those volumes that say so. */
  readonly nbdResize?: boolean
  readonly log: Log
  /** Six hex digits; of volumes made from now on. */
  readonly naaCompanyId?: string
  /** Wall clock, ms since 1970. */
  readonly now?: () => number
}

/** Control, and what it feeds: the directory for iSCSI logins, the volumes for other protocols. */
export interface ControlPlane extends AsyncDisposable {
  readonly control: Control
  readonly directory: TargetDirectory
  readonly exports: ExportDirectory
  readonly serving: Serving
  readonly portals: ClusterPortals
  /** Targets that have the volume as a LUN. */
  targetsOf(volume: string): string[]
  /** Of the protocols that were added. */
  readonly sessions: Sessions
  /** Closes every served volume; the metadata store stays open. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Loads the catalogue, finishes what a crash left half-done, and opens every volume; resolves when all are
 * served (or have failed, which is logged and answered with 0301 to logins). Deletions go on as jobs.
 */
export async function openControl(options: ControlOptions): Promise<ControlPlane> {
  const { metadata, cluster, host, brick, targetFactory, portals, log, now = Date.now } = options
  const naaCompanyId = parseCompanyId(options.naaCompanyId ?? NAA_COMPANY_ID_DEFAULT)
  const events = new EventSource(now, cluster.peerId)
  const catalogue = options.catalogue ?? (await Catalogue.open(metadata, log))
  events.startAfter(catalogue.model.eventIds.at(-1) ?? '')
  const { peerId } = cluster
  const common = { metadata, catalogue, events, now }
  const volumes = new VolumeOperations({ ...common, host, peerId, naaCompanyId })
  const unfinished = await volumes.recover().catch(async error => {
    await catalogue[Symbol.asyncDispose]()
    throw error
  })
  const peerWatch = new PeerWatch({ ...common, peerId, log })
  const serving = new Serving({ catalogue, host, targetFactory, log })
  const sessions = new Sessions()
  const lostRights = new LostRights({ catalogue, sessions, log })
  const resize = (name: string, sizeBytes: number) => volumes.resize(name, sizeBytes)
  const exports = new CatalogueExports(
    catalogue,
    serving,
    options.nbdDefaultExport ?? null,
    options.nbdResize === true ? resize : null,
  )
  const jobs = new Jobs(brick)
  const targets = new TargetOperations(common)
  const connections = new ConnectionOperations({ ...common, randomBytes })
  const replicas = new ReplicaOperations({ ...common, host, awayMs: id => peerWatch.awayMs(id) })
  const raiser = new MinimumRaiser({ catalogue, replicas, peerId, log })
  const nbdPortals = options.nbdPortals ?? (() => [])
  const clusterPortals = new ClusterPortals(catalogue, portals, cluster.peerNumber)
  const others = options.others ?? nobodyElse
  const clusterSessions = new ClusterSessions(sessions, others, peerId)
  const seen = { sessions, clusterSessions, others }
  const view = new VolumeView({ catalogue, ...seen, host, portals, nbdPortals, exports, peerId })
  const control = new ClusterControl({
    ...common,
    cluster,
    serving,
    sessions,
    clusterSessions,
    jobs,
    volumes,
    targets,
    connections,
    host,
    brick,
    view,
    peers: new PeerOperations(common),
    replicas,
    peerWatch,
    portals: clusterPortals,
    log,
  })
  for (const { name, head } of unfinished) {
    control.finishDelete(name, head, Math.max(0, ...host.usedOnBricks(head.uuid)))
  }
  await serving.settled()
  return {
    control,
    directory: new CatalogueDirectory(catalogue, serving, clusterPortals),
    exports,
    serving,
    portals: clusterPortals,
    targetsOf: volume => view.lunsOf(volume).map(({ iqn }) => iqn),
    sessions,
    async [Symbol.asyncDispose]() {
      await serving[Symbol.asyncDispose]()
      volumes[Symbol.dispose]()
      raiser[Symbol.dispose]()
      peerWatch[Symbol.dispose]()
      lostRights[Symbol.dispose]()
      if (options.catalogue === undefined) await catalogue[Symbol.asyncDispose]()
    },
  }
}
