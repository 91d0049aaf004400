import { HoldfastError } from '../errors/holdfast-error.ts'
import { inSyncSets, type PeerOfBrick } from './in-sync.ts'
import type { OutBrick, VolumeHead } from './layout.ts'
import type { KnownEpoch } from './ports.ts'

/** Bricks that an operator says will not come back soon, by uuid with the small number of their peer. */
export type BricksOff = ReadonlyMap<string, number>

/** Beyond everything that is known, for those who cannot be asked: more than takeovers of days. */
export const RECOVERY_STEP = 2 ** 16

/**
 * The head that goes on without these bricks, whatever they alone have: they are out everywhere, as tombstones, and
 * M is what is left until the missing replicas are made anew. `known`: what replicas say that can be asked; whoever
 * cannot, and comes back, must not be ahead either. PROTOCOL rules 1 and 25. Throws ERR_REPLICAS_UNAVAILABLE
 * when some range would have no replica left.
 */
export function recoveredHead(
  name: string,
  head: VolumeHead,
  placement: readonly (readonly number[])[],
  off: BricksOff,
  names: { readonly peerOf: PeerOfBrick },
  known: KnownEpoch,
): VolumeHead {
  const gone = new Set(off.values())
  const left = inSyncSets(head, placement, names).map(numbers => numbers.filter(number => !gone.has(number)))
  const fewest = Math.min(...left.map(numbers => numbers.length))
  if (fewest < 1) {
    const range = left.findIndex(numbers => numbers.length === 0)
    const message = `no replica of range ${range} of volume '${name}' would be left: name fewer peers`
    throw new HoldfastError('ERR_REPLICAS_UNAVAILABLE', message)
  }
  const epoch = Math.max(head.epoch, known.epoch) + RECOVERY_STEP
  const inSync = '00'.repeat(Math.ceil(placement.length / 8))
  // What they did after the last that we know of them is unknown: they are compared whole when they come back.
  const tombstones = [...off.keys()].map((uuid): OutBrick => ({ uuid, since: 0, inSync }))
  const { minReplicasBefore: _, ...rest } = head
  return {
    ...rest,
    epoch,
    generation: head.generation + epoch - head.epoch,
    setVersion: Math.max(head.setVersion, known.setVersion) + RECOVERY_STEP,
    lossGeneration: head.lossGeneration + 1,
    out: [...head.out.filter(({ uuid }) => !off.has(uuid)), ...tombstones],
    minReplicas: Math.min(head.minReplicas, fewest),
    minReplicasWanted: head.minReplicasWanted ?? head.minReplicas,
  }
}
