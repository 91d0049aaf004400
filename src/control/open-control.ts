import type { TargetDirectory } from '../iscsi-target/target-directory.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Cluster } from './cluster.ts'
import type { Control } from './control.ts'
import type { BrickStatus, Log, Portal, SessionSource, TargetFactory, VolumeHost } from './ports.ts'

export interface ControlOptions {
  readonly metadata: MetadataStore
  /** From joinCluster: who we are. */
  readonly cluster: Cluster
  readonly host: VolumeHost
  readonly brick: BrickStatus
  readonly targetFactory: TargetFactory
  /** iSCSI listeners that are up, in their order; asked at each SendTargets and each `volume show`. */
  readonly portals: () => readonly Portal[]
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
  /** Sessions are counted, listed and kicked through the sources that were added. */
  addSessions(source: SessionSource): void
  /** Closes every served volume; the metadata store stays open. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Loads the catalogue, finishes what a crash left half-done, and opens every volume; resolves when all are
 * served (or have failed, which is logged and answered with 0301 to logins).
 */
export declare function openControl(options: ControlOptions): Promise<ControlPlane>
