import type { ChapRecord } from './records.ts'

/** What an initiator was given: which LUN, and what it proves at login. */
export interface Grant {
  readonly volumeUuid: string
  readonly iqn: string
  readonly lun: number
  readonly readOnly: boolean
  readonly chap: ChapRecord
}

/** Cinder's connection properties of an iSCSI volume, as os-brick's ISCSIConnector takes them. */
export interface ConnectionProperties {
  readonly target_discovered: false
  readonly target_portal: string
  readonly target_iqn: string
  readonly target_lun: number
  /** With the plural of iqn and lun: one entry per path, for multipath. */
  readonly target_portals: readonly string[]
  readonly target_iqns: readonly string[]
  readonly target_luns: readonly number[]
  readonly volume_id: string
  readonly auth_method: 'CHAP'
  readonly auth_username: string
  readonly auth_password: string
  /** Only where discovery demands CHAP. */
  readonly discovery_auth_method?: 'CHAP'
  readonly discovery_auth_username?: string
  readonly discovery_auth_password?: string
  /** UNMAP and fstrim give space back. */
  readonly discard: true
  readonly access_mode: 'rw' | 'ro'
}

export function connectionProperties(
  { volumeUuid, iqn, lun, readOnly, chap }: Grant,
  paths: readonly string[],
  discoveryChap: ChapRecord | null,
): ConnectionProperties {
  const discovery =
    discoveryChap === null
      ? {}
      : {
          discovery_auth_method: 'CHAP' as const,
          discovery_auth_username: discoveryChap.user,
          discovery_auth_password: discoveryChap.secret,
        }
  return {
    target_discovered: false,
    target_portal: paths[0]!,
    target_iqn: iqn,
    target_lun: lun,
    target_portals: paths,
    target_iqns: paths.map(() => iqn),
    target_luns: paths.map(() => lun),
    volume_id: volumeUuid,
    auth_method: 'CHAP',
    auth_username: chap.user,
    auth_password: chap.secret,
    ...discovery,
    discard: true,
    access_mode: readOnly ? 'ro' : 'rw',
  }
}
