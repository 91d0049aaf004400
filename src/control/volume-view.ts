import { inPasses } from '../lib/in-passes.ts'
import type { Catalogue } from './catalogue.ts'
import { reachableAddress } from './cluster-portals.ts'
import type { ClusterSessions } from './cluster-sessions.ts'
import type { VolumeShown } from './control.ts'
import type { CatalogueExports } from './exports.ts'
import type { VolumeHead } from './layout.ts'
import { formatNbdAccess } from './nbd-access.ts'
import { nbdUris } from './nbd-uris.ts'
import { explainPlacement } from './placement/explain.ts'
import type { NbdPortal, OtherDaemons, Portal, VolumeHost } from './ports.ts'
import type { SessionInfo } from './records.ts'
import { shownReplicas } from './replica-view.ts'
import type { Sessions } from './sessions.ts'
import { recordOf } from './volume-rules.ts'

export interface VolumeViewParts {
  readonly catalogue: Catalogue
  readonly sessions: Sessions
  readonly clusterSessions: ClusterSessions
  readonly others: OtherDaemons
  readonly host: VolumeHost
  readonly portals: () => readonly Portal[]
  readonly nbdPortals: () => readonly NbdPortal[]
  readonly exports: CatalogueExports
  /** The peer that runs here. */
  readonly peerId: string
}

interface Everywhere {
  readonly sessions: readonly SessionInfo[]
  /** By the uuid of the volume, of each brick of other daemons. */
  readonly used: ReadonlyMap<string, readonly number[]>
  readonly iscsiAddresses: readonly (string | null)[]
}

/** About a millisecond's work: I/O shares the event loop. */
const VOLUMES_PER_PASS = 32

/** What a client on this machine would dial, for portals that listen on all addresses. */
const LOCAL = { v4: '127.0.0.1:0', v6: '[::1]:0' } as const

/** Volumes as they are shown, from the catalogue and from what goes on here. */
export class VolumeView {
  readonly #parts: VolumeViewParts

  constructor(parts: VolumeViewParts) {
    this.#parts = parts
  }

  lunsOf(volume: string): VolumeShown['targets'] {
    const { model } = this.#parts.catalogue
    return model
      .targetsOf(volume)
      .flatMap(iqn =>
        (model.target(iqn)?.luns ?? [])
          .filter(entry => entry.volume === volume)
          .map(({ lun, readOnly }) => ({ iqn, lun, readOnly })),
      )
  }

  /** Those of the sessions here, or of `among`, that can reach the volume. */
  sessionsOf(volume: string, among: readonly SessionInfo[] = this.#parts.sessions.list()): SessionInfo[] {
    const iqns = new Set(this.lunsOf(volume).map(({ iqn }) => iqn))
    return this.#parts.sessions.using(volume, iqns, among)
  }

  /** All volumes but those that are being made. */
  async all(): Promise<VolumeShown[]> {
    const everywhere = await this.#everywhere()
    const { model } = this.#parts.catalogue
    const all: VolumeShown[] = []
    for await (const names of inPasses(model.volumeNames, VOLUMES_PER_PASS)) {
      for (const name of names) {
        const head = model.volume(name)
        if (head !== null && head.state !== 'creating') all.push(this.#shown(name, head, everywhere))
      }
    }
    return all
  }

  async shown(name: string, head: VolumeHead): Promise<VolumeShown> {
    return this.#shown(name, head, await this.#everywhere())
  }

  /** What all daemons say of all volumes. */
  async #everywhere(): Promise<Everywhere> {
    const { clusterSessions, others, portals } = this.#parts
    const [{ sessions }, used] = await Promise.all([clusterSessions.list(), others.usedOnBricks()])
    const iscsiAddresses = portals().map(
      portal => reachableAddress(portal, LOCAL.v4) ?? reachableAddress(portal, LOCAL.v6),
    )
    return { sessions, used, iscsiAddresses }
  }

  #shown(name: string, head: VolumeHead, { sessions, used, iscsiAddresses }: Everywhere): VolumeShown {
    const { catalogue, host, nbdPortals, exports, peerId } = this.#parts
    const { model } = catalogue
    const record = recordOf(name, head)
    const targets = this.lunsOf(name)
    const access = exports.accessTo(name, head)
    const iscsiUris = targets.flatMap(({ iqn, lun }) =>
      iscsiAddresses.map(address => `iscsi://${address}/${iqn}/${lun}`),
    )
    return {
      ...record,
      usedBytes: usedBytes(
        [...host.usedOnBricks(record.uuid), ...(used.get(record.uuid) ?? [])],
        record.replicas,
      ),
      targets,
      nbd: formatNbdAccess(access),
      uris: [...iscsiUris, ...nbdUris(name, access, nbdPortals())],
      sessions: this.sessionsOf(name, sessions).length,
      replication: shownReplicas(name, head, model, peerId),
      placement: explainPlacement(head, model.placement(name), model.peers),
    }
  }
}

/** A brick holds all of a volume, or a part of it where its ranges are on more bricks than it has replicas. */
function usedBytes(onBricks: readonly number[], replicas: number): number {
  const all = onBricks.reduce((sum, bytes) => sum + bytes, 0)
  return Math.max(0, ...onBricks, Math.round(all / replicas))
}
