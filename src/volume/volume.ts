import type { BlockDevice } from '../block/block-device.ts'
import type { ClientIdentity } from './client-identity.ts'
import type { Reservations } from './reservations.ts'
import type { Sanitization } from './sanitize/sanitization.ts'
import type { VolumeSpace } from './volume-space.ts'

/** What a volume's clients may ask of its reservations, wherever its owner is. */
export type VolumeReservations = Pick<
  Reservations,
  | 'state'
  | 'current'
  | 'permits'
  | 'isUnitReserved'
  | 'isUnitReservedFrom'
  | 'releaseUnit'
  | 'endUnitReservation'
  | 'listen'
  | 'change'
> & {
  /** RESERVE (6): false for a conflict. Waits where the owner is in another daemon; rejects when it cannot be asked. */
  reserveUnit(client: ClientIdentity): boolean | Promise<boolean>
}

/** The same for sanitizing. */
export type VolumeSanitization = Pick<
  Sanitization,
  'refusal' | 'progress' | 'start' | 'whenEnded' | 'exitFailureMode'
>

export interface VolumeHandle extends BlockDevice {
  /** Aborts what has not begun, waits for the rest. */
  close(): Promise<void>
}

export type VolumeChange =
  | 'resized'
  | 'writeProtection'
  /** Another gateway owns the volume now, or can be reached, or not. */
  | 'accessStates'
  /** `space` has changed by as much as is worth telling. */
  | 'space'

/** A volume as it is served here: one per volume and daemon, shared by every protocol and target. */
export interface Volume {
  readonly name: string
  /** Canonical text form. */
  readonly uuid: string
  /** NAA-6 designator, 16 bytes, frozen when the volume was made. SPC-5 §7.7.6.6.6. */
  readonly naa: Buffer
  readonly blockSizeBytes: 512 | 4096
  readonly sizeBytes: number
  readonly readOnly: boolean
  readonly removable: boolean
  /** Persistent reservations: state of the volume, enforced by every handle. */
  readonly reservations: VolumeReservations
  /** Whether the volume is being sanitized, enforced by every handle too. */
  readonly sanitization: VolumeSanitization
  /** Live: each look sees what is. */
  readonly space: VolumeSpace
  open(client: ClientIdentity): VolumeHandle
  /** `listener` is called after each change; the answer takes it off again. */
  onChange(listener: (change: VolumeChange) => void): () => void
}
