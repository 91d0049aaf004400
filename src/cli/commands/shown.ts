import type { ResyncShown } from '../../control/resync-view.ts'
import { formatSize } from '../../lib/sizes.ts'

/** The answers of the API that commands print; src/api/schemas.ts holds their full shapes. */
export type { DaemonStatus } from '../../api/backend.ts'
export type { ClusterSession } from '../../control/cluster-sessions.ts'
export type { Job, VolumeShown } from '../../control/control.ts'
export type { PeerInfo } from '../../control/records.ts'

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

/** Like `35 %, 120MiB/s, 2m 5s left`; `-` when nothing is copied. */
export function resyncText(resync: ResyncShown | null): string {
  if (resync === null) return '-'
  const { done, bytesPerSecond, etaSeconds } = resync
  const part = done === null ? 'looking for what is missing' : `${Math.floor(done * 100)} %`
  const left = etaSeconds === null ? [] : [`${formatSeconds(etaSeconds)} left`]
  return [part, `${formatSize(Math.round(bytesPerSecond))}/s`, ...left].join(', ')
}

/** Like `2h 5m`, `5m 10s`, `8s`: the two largest units. */
function formatSeconds(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  if (hours > 0) return `${hours}h ${minutes}m`
  return minutes > 0 ? `${minutes}m ${Math.ceil(seconds % 60)}s` : `${Math.ceil(seconds)}s`
}
