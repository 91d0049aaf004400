import type { Draft } from './draft.ts'
import { keys } from './layout.ts'

/** By volume: from which version on a gateway knows that an initiator has lost its right to it. */
export type RightsVersions = ReadonlyMap<string, number>

/**
 * The versions that hold after this change. `isLost`: with it an initiator loses its right to these volumes, and
 * whoever owns them, in this epoch or a later one, takes writes from gateways alone that have heard of it.
 */
export async function rightsVersions(
  draft: Draft,
  volumes: Iterable<string>,
  isLost: boolean,
): Promise<RightsVersions> {
  const versions = new Map<string, number>()
  for (const name of new Set(volumes)) {
    const head = await draft.read('volume', keys.head(name))
    if (head === null) continue
    const version = (head.rightsVersion ?? 0) + (isLost ? 1 : 0)
    if (isLost) draft.put('volume', keys.head(name), { ...head, rightsVersion: version })
    versions.set(name, version)
  }
  return versions
}

/** An initiator that has lost its right to volumes. */
export interface ShutOut {
  /** As normalizeIscsiName has it. */
  readonly initiator: string
  readonly targets: readonly string[]
  readonly versions: RightsVersions
}
