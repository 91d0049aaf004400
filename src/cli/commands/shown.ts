import { formatSize } from '../../lib/sizes.ts'

/** The answers of the API that commands print; src/api/schemas.ts holds their full shapes. */
export type { DaemonStatus } from '../../api/backend.ts'
export type { Job, VolumeShown } from '../../control/control.ts'
export type { PeerInfo, SessionInfo } from '../../control/records.ts'

export interface TargetShown {
  readonly iqn: string
  readonly luns: readonly { readonly lun: number; readonly volume: string; readonly readOnly: boolean }[]
  readonly openToAll: boolean
  readonly acl: readonly string[]
  readonly chap: ChapShown | null
  readonly chapByInitiator: Readonly<Record<string, ChapShown>>
  readonly createdAt: string
}

export interface ChapShown {
  readonly user: string
  readonly mutualUser: string | null
}

/** `512MiB of 1GiB (50 %)`. */
export function formatShare(bytes: number, ofBytes: number): string {
  const percent = ofBytes === 0 ? 0 : Math.round((bytes / ofBytes) * 100)
  return `${formatSize(bytes)} of ${formatSize(ofBytes)} (${percent} %)`
}

export function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}
