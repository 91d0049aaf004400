import type { DaemonStatus } from '../api/backend.ts'
import type { Config } from '../config/schema.ts'
import type { Catalogue } from '../control/catalogue.ts'
import type { VolumeShown } from '../control/control.ts'
import { type ControlPlane, openControl } from '../control/open-control.ts'
import type { NbdPortal, Portal } from '../control/ports.ts'
import { gatewayPortGroups } from '../gateway/access-states.ts'
import type { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import type { Log } from '../lib/log.ts'
import type { NbdServer } from '../nbd/nbd-server.ts'
import { openApi } from './api.ts'
import { LocalClients } from './client-connections.ts'
import { Closers } from './closers.ts'
import { DaemonBackend } from './daemon-backend.ts'
import { Handover } from './handover.ts'
import { createIscsiTarget, openPortals, portalsOf } from './iscsi.ts'
import { IscsiSessions } from './iscsi-sessions.ts'
import { LocalBricks } from './local-bricks.ts'
import { LocalTargets } from './local-target.ts'
import { createNbdServer, nbdPortalsOf, openNbdListeners } from './nbd.ts'
import { NbdSessions } from './nbd-sessions.ts'
import { openReplicatedPeers } from './replicated-peers.ts'
import { openScrubMemory } from './scrub-memory.ts'
import { ScrubSchedule } from './scrub-schedule.ts'
import { openStorage } from './storage.ts'
import { Watchdog } from './watchdog.ts'

export interface DaemonOptions {
  readonly config: Config
  readonly log: Log
  readonly version: string
  /** Make the volume `demo` when the data directory is new. */
  readonly demo: boolean
  /**
   * In this process, each with a brick; only with the metadata in the data directory. Null: as many as there are.
   */
  readonly peers?: number | null
}

const DEMO = { name: 'demo', sizeBytes: 2 ** 30 } as const

/** Everything in one process: storage, control, the iSCSI target and the API. */
export class Daemon {
  readonly #closers: Closers
  readonly #backend: DaemonBackend
  readonly #plane: ControlPlane
  readonly apiUrl: string
  readonly #portals: () => readonly Portal[]
  readonly #nbdPortals: () => readonly NbdPortal[]

  private constructor(
    closers: Closers,
    backend: DaemonBackend,
    plane: ControlPlane,
    apiUrl: string,
    portals: () => readonly Portal[],
    nbdPortals: () => readonly NbdPortal[],
  ) {
    this.#closers = closers
    this.#backend = backend
    this.#plane = plane
    this.apiUrl = apiUrl
    this.#portals = portals
    this.#nbdPortals = nbdPortals
  }

  /** Resolves when everything is up; what was opened before a failure is closed again. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const closers = new Closers(options.log)
    try {
      return await assemble(options, closers, (...parts) => new Daemon(closers, ...parts))
    } catch (error) {
      await closers[Symbol.asyncDispose]()
      throw error
    }
  }

  get portals(): readonly Portal[] {
    return this.#portals()
  }

  get nbdPortals(): readonly NbdPortal[] {
    return this.#nbdPortals()
  }

  volumes(): Promise<VolumeShown[]> {
    return this.#plane.control.listVolumes()
  }

  /** IQNs of the targets that have an ACL or CHAP. */
  async guardedTargets(): Promise<Set<string>> {
    const guarded = (await this.#plane.control.listTargets()).filter(
      ({ openToAll, chap, chapByInitiator }) =>
        !openToAll || chap !== null || Object.keys(chapByInitiator).length > 0,
    )
    return new Set(guarded.map(({ iqn }) => iqn))
  }

  status(): Promise<DaemonStatus> {
    return this.#backend.status()
  }

  /**
   * No new commands; what is in flight ends, initiators are asked to log out, everything is flushed. Bounded by
   * `limits.stopGrace` and the time that the disks need.
   */
  async stop(): Promise<void> {
    this.#backend.stopping = true
    await this.#closers[Symbol.asyncDispose]()
  }
}

type Make = (
  backend: DaemonBackend,
  plane: ControlPlane,
  apiUrl: string,
  portals: () => readonly Portal[],
  nbdPortals: () => readonly NbdPortal[],
) => Daemon

/** As long as open-iscsi holds I/O back for a session that is gone: who comes later has given up on it. */
const RESTART_TOLD_MS = 120_000

/** Small numbers of the peers where initiators are served. */
function servingPeers({ model }: Catalogue): number[] {
  const registrations = model.peers.map(({ id }) => model.registration(id))
  return registrations.flatMap(found => (found !== null && found.portals.length > 0 ? [found.number] : []))
}

async function assemble(options: DaemonOptions, closers: Closers, make: Make): Promise<Daemon> {
  const { config, log, version, demo } = options
  const watchdog = new Watchdog(log)
  closers.add('watchdog', () => watchdog[Symbol.dispose]())
  const storage = await openStorage(config, options.peers ?? null, log, closers)
  const { cluster, brick } = storage.peers[0]
  const bricks = new LocalBricks(storage.peers.map(peer => peer.brick))

  const targets = new LocalTargets({
    identity: { vendor: config.scsi.vendor, product: config.scsi.product, revision: version },
    reportNexusLoss: config.scsi.reportNexusLoss,
    restartToldUntilMs: cluster.founded ? 0 : performance.now() + RESTART_TOLD_MS,
  })
  let iscsi: IscsiTarget | null = null
  const portals = (): readonly Portal[] => portalsOf(iscsi, config.advertiseIscsi)
  let nbd: NbdServer | null = null
  const nbdPortals = (): readonly NbdPortal[] => nbdPortalsOf(nbd, config)
  const clients = new LocalClients(log)
  const replicated =
    storage.host !== null
      ? null
      : await openReplicatedPeers({
          config,
          storage,
          connections: clients,
          portals: () => ({ iscsi: dialledPortals(portals()), nbd: dialledPortals(nbdPortals()) }),
          log,
          closers,
        })
  if (replicated !== null) {
    const { catalogue, peers } = replicated
    targets.portGroups = gatewayPortGroups(peers[0].replication, () => servingPeers(catalogue))
  }
  const plane = await openControl({
    metadata: storage.metadata.settled,
    ...(replicated === null ? {} : { catalogue: replicated.catalogue, others: replicated.questions }),
    cluster,
    host: storage.host ?? replicated!.host,
    brick: {
      capacity: brick.capacity,
      startScrub: scrub => bricks.startScrub(scrub),
      get scrub() {
        return bricks.scrub
      },
    },
    targetFactory: targets.make,
    portals,
    nbdPortals,
    nbdDefaultExport: config.nbd.defaultExport,
    nbdResize: config.nbd.resize,
    log: log.child({ area: 'control' }),
    naaCompanyId: config.scsi.companyId,
  })
  closers.add('control', () => plane[Symbol.asyncDispose]())
  if (demo && cluster.founded) await plane.control.createVolume(DEMO)

  const target = createIscsiTarget(config, plane.directory, log)
  const sessions = new IscsiSessions(target, log)
  plane.sessions.add(sessions)
  const nbdServer = createNbdServer(config, plane.exports, log)
  const nbdSessions = new NbdSessions(nbdServer, log)
  plane.sessions.add(nbdSessions)
  if (replicated !== null) replicated.questions.here = plane.sessions

  clients.servers = { iscsi: target, nbd: nbdServer, targetsOf: volume => plane.targetsOf(volume) }

  const backend = new DaemonBackend({
    config,
    version,
    cluster,
    brick: bricks,
    plane,
    targets,
    sessions,
    target,
    nbdSessions,
    nbdServer,
    watchdog,
    etcd: storage.metadata.etcd,
    ownedVolumes: () =>
      storage.host?.volumes ?? replicated!.peers.flatMap(({ gateway }) => gateway.ownedVolumes),
    replications: replicated?.peers.map(({ replication }) => replication) ?? [],
    brokenLinks: () => replicated?.brokenLinks() ?? [],
    portals,
    nbdPortals,
  })
  const apiUrl = await openApi({ config, log: log.child({ area: 'api' }), version, backend, closers })
  // Closed before the API, which tells until then that the daemon is stopping.
  closers.add('iSCSI target', () => target.stop())
  await openPortals(target, config.iscsi.listen)
  iscsi = target
  closers.add('NBD server', () => nbdServer.stop())
  await openNbdListeners(nbdServer, config)
  nbd = nbdServer
  for (const { membership } of replicated?.peers ?? []) membership.update()
  if (replicated !== null) {
    const handover = new Handover({
      catalogue: replicated.catalogue,
      portals: plane.portals,
      replication: replicated.peers[0].replication,
      suggestLogout: seconds => target.suggestLogout(seconds),
      log: log.child({ area: 'handover' }),
    })
    closers.add('handover', () => handover[Symbol.dispose]())
  }

  const { scrubInterval, scrubBandwidth } = config.store
  const schedule = new ScrubSchedule({
    intervalMs: scrubInterval,
    memory: await openScrubMemory(config.data),
    progress: () => bricks.scrub,
    start: () => plane.control.startScrub({ bytesPerSecond: scrubBandwidth }),
    log,
  })
  closers.add('scrub schedule', () => schedule[Symbol.dispose]())
  backend.ready = true
  return make(backend, plane, apiUrl, portals, nbdPortals)
}

/** Where hosts come, for those who ask another daemon. */
function dialledPortals(portals: readonly Portal[]): string[] {
  return portals.map(({ address, advertised }) => advertised ?? address)
}
