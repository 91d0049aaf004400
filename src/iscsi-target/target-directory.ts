import type { ScsiTarget } from '../scsi/scsi-target.ts'

/** CHAP for one direction or both. RFC 7143 §12.1.3. */
export interface ChapPolicy {
  /** What the initiator must prove. */
  readonly user: string
  readonly secret: Buffer
  /** What we answer when the initiator asks us to prove ourselves; absent: asking is an authentication failure. */
  readonly mutual?: { readonly user: string; readonly secret: Buffer }
}

export interface PortalAddress {
  /** `ip:port` or `[ip6]:port`, as it goes into TargetAddress. */
  readonly address: string
  readonly portalGroupTag: number
}

export interface DiscoveredTarget {
  readonly name: string
  readonly portals: readonly PortalAddress[]
}

/** The connection that a question comes from: what its socket says of our end. */
export interface PortalContact {
  readonly listener: number
  /** Our own address and port on this connection, for wildcard listeners. */
  readonly localAddress: string
}

export type TargetLookup =
  | { readonly found: 'yes'; readonly target: ScsiTarget; readonly chap: ChapPolicy | null }
  /** None is known. `isAbsent` says whether that is proved: 0203, final, or 0301. */
  | { readonly found: 'no' }
  /** It exists, this initiator is not in its ACL: 0202. */
  | { readonly found: 'forbidden' }
  /** Another portal serves it for the time being: 0101. `address` as in PortalAddress. */
  | { readonly found: 'moved'; readonly address: string }
  /** It exists, or may exist, but cannot be served right now: 0301, retry. */
  | { readonly found: 'unavailable' }

/** What the iSCSI target asks control. Answers come from memory: no waiting, no I/O, but for `isAbsent`. */
export interface TargetDirectory {
  readonly targetPortalGroupTag: number
  /** SendTargets: only what this initiator may use; `name` null means all. */
  discover(initiatorName: string, name: string | null, contact: PortalContact): readonly DiscoveredTarget[]
  lookUp(targetName: string, initiatorName: string, contact: PortalContact): TargetLookup
  /** Whether the metadata prove now that there is no such target. Never rejects; resolves within seconds. */
  isAbsent(targetName: string): Promise<boolean>
  discoveryChap(): ChapPolicy | null
}
