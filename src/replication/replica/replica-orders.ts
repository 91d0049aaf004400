import { BlockStatus } from '../../block/block-status.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { ReplicaOrder } from '../messages.ts'
import { PeerStatus } from '../peer-network.ts'
import { runsOf } from '../segment-runs.ts'
import type { VolumeReplica } from './volume-replica.ts'

/** How an order ended: with `status` ok the body is its answer, with refused it is `{ code, message }`. */
export interface OrderOutcome {
  readonly status: PeerStatus
  readonly body: unknown
}

export const DONE: OrderOutcome = { status: BlockStatus.ok, body: null }

export function refused(error: unknown): OrderOutcome {
  const code = error instanceof HoldfastError ? error.code : 'ERR_INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  return { status: PeerStatus.refused, body: { code, message } }
}

function answered(body: unknown): OrderOutcome {
  return { status: BlockStatus.ok, body }
}

/** Carries out an admitted order of the volume's owner: it counts as in flight until the answer. */
export async function executeOrder(
  replica: VolumeReplica,
  epoch: number,
  setVersion: number,
  order: ReplicaOrder,
): Promise<OrderOutcome> {
  const { volume } = replica
  switch (order.what) {
    case 'setVersion':
      await replica.setVersion(setVersion, order.generation, order.stampActive)
      return DONE
    case 'reconciled':
      replica.reconciled(epoch)
      return DONE
    case 'clearSegments':
      await volume.clearSegments(order.segments)
      return DONE
    case 'segments': {
      const [active, suspect] = [volume.activeSegments(), volume.suspectSegments()]
      if (order.runs !== true) return answered({ active, suspect })
      return answered({ active: [], suspect: [], activeRuns: runsOf(active), suspectRuns: runsOf(suspect) })
    }
    case 'trustSegments':
      await replica.trustSegments(order.segments)
      return DONE
    case 'regionsSince':
      return answered({ regions: await volume.regionsSince(order.since, order.from, order.atMost) })
    case 'digests':
      return answered({ digests: await volume.digestRegions(order.firstRegion, order.count) })
    case 'blockEntries':
      return answered({ entries: [...(await volume.blockEntries(order.region))] })
    case 'raiseStamps':
      for (const [i, region] of order.regions.entries()) await volume.raiseStamp(region, order.stamps[i]!)
      return DONE
    case 'markBad':
      return answered({ status: await volume.markBad(order.offsetBytes, order.lengthBytes, order.stamp) })
    case 'standAlone':
      volume.standsAlone = order.alone
      return DONE
    case 'freeRanges':
      await volume.freeRanges(order.ranges)
      return DONE
    default:
      throw new HoldfastError('ERR_INTERNAL', `${order.what} is no order for one volume`)
  }
}
