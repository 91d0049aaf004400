import type { ReplicaVolume } from '../../src/store/replica-store.ts'
import type { PastVolume } from './history.ts'
import type { Variant } from './image-check.ts'

const REGION_BYTES = 256 * 1024
const REGIONS_PER_SEGMENT = 16
const REGIONS_MAX = 100_000

/**
 * What a crashed image must still know for replication, or null: descriptors that do not fall, and, for each
 * operation, that its regions are among those that a returning brick or its survivors would copy (PROTOCOL rules
 * 11 to 13): stamped with its generation or later, or in an active segment.
 */
export async function forgottenBy(
  replica: ReplicaVolume,
  volume: PastVolume,
  cut: number,
  variant: Variant,
): Promise<string | null> {
  const known = volume.descriptors.filter(({ at }) => at < cut).at(-1)
  const { epoch, setVersion } = replica.descriptor
  if (known !== undefined && (epoch < known.epoch || setVersion < known.setVersion)) {
    return `its descriptor fell to epoch ${epoch}, setVersion ${setVersion}`
  }
  // A deletion under way has taken some of its slots, and what they knew.
  if (volume.deleteAt < cut) return null
  const active = new Set(replica.activeSegments())
  const since = new Map<number, Set<number>>()
  const freedAt = volume.freesBegan.filter(at => at < cut).at(-1) ?? -1
  for (const { id, generation, copied, beganAt, doneAt, durableAt, ...place } of volume.operations) {
    const promisedAt = copied && variant === 'power-cut' ? durableAt : doneAt
    if (generation === 0 || promisedAt >= cut || beganAt < freedAt) continue
    if (!since.has(generation)) {
      since.set(generation, new Set(await replica.regionsSince(generation, 0, REGIONS_MAX)))
    }
    const last = Math.floor((place.offsetBytes + place.lengthBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(place.offsetBytes / REGION_BYTES); region <= last; region++) {
      if (since.get(generation)!.has(region)) continue
      if (active.has(Math.floor(region / REGIONS_PER_SEGMENT))) continue
      return `region ${region} does not show that operation ${id} came in generation ${generation}`
    }
  }
  return null
}
