import type { Volume } from '../volume/volume.ts'

/** Asymmetric access states that gateways are in. SPC-5 table 306. */
export const AccessState = { activeOptimized: 0x0, activeNonOptimized: 0x1 } as const
export type AccessState = (typeof AccessState)[keyof typeof AccessState]

/** The portals of one gateway, as a path to one volume. SPC-5 §5.18. */
export interface TargetPortGroup {
  /** The peer's small number: TARGET PORT GROUP, relative port id and portal group tag in one. 1 to 65535. */
  readonly id: number
  readonly state: AccessState
}

/**
 * Who knows through which gateways a volume can be reached, and which of them owns it. When an answer changes,
 * the volume says 'accessStates' to those that listen to it.
 */
export interface TargetPortGroups {
  /** The groups of a volume, `localId` among them. */
  groupsOf(volume: Volume, localId: number): readonly TargetPortGroup[]
}

/** One gateway: every volume is its own. */
export const onlyLocalGroup: TargetPortGroups = {
  groupsOf: (_volume, localId) => [{ id: localId, state: AccessState.activeOptimized }],
}
