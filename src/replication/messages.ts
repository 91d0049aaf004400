import type { BlockKind } from '../block/block-operation.ts'
import type { OperationLog } from './operation-log.ts'
import type { RegionDigest } from './replica-store.ts'
import { runsOf, segmentsOf } from './segment-runs.ts'

/**
 * Bodies of control requests to a replica, by `what`. Volume, epoch and setVersion are fields of the request
 * itself. Every one may be repeated: a lost answer is asked for again.
 */
export type ReplicaOrder =
  /** A descriptor before anything is held. PROTOCOL rule 1. */
  | { readonly what: 'createVolume'; readonly sizeBytes: number }
  | { readonly what: 'growVolume'; readonly sizeBytes: number }
  | { readonly what: 'deleteVolume' }
  /** What the brick knows of the volume, whoever asks. Rule 25. */
  | { readonly what: 'describe' }
  /**
   * Rule 6. `generation` is the head's: what is written from now on is stamped with it. `opening`: nothing of the
   * epoch has been served yet. `runs`: the sender can read segments as runs; older versions want and give lists.
   */
  | {
      readonly what: 'fence'
      readonly sizeBytes: number
      readonly generation: number
      readonly opening?: boolean
      readonly runs?: boolean
    }
  /** Rule 4, one for all volumes that one daemon owns on the other's brick. */
  | { readonly what: 'renew'; readonly volumes: readonly RenewedVolume[] }
  /** No read is authorised any more at the request's epoch or below. Rule 6. */
  | { readonly what: 'release' }
  /** Is any grant for the request's epoch or below still promised? Rule 2. */
  | { readonly what: 'lapsed' }
  /** The set has changed; with `stampActive`, a member has left and rule 12 holds before this is answered. */
  | { readonly what: 'setVersion'; readonly generation: number; readonly stampActive: number | null }
  /** The reconcile of the request's epoch ended and was flushed here. Rule 16. */
  | { readonly what: 'reconciled' }
  | { readonly what: 'clearSegments'; readonly segments: readonly number[] }
  /** `runs`: as in fence. */
  | { readonly what: 'segments'; readonly runs?: boolean }
  | { readonly what: 'trustSegments'; readonly segments: readonly number[] }
  | {
      readonly what: 'regionsSince'
      readonly since: number
      readonly from: number
      readonly atMost: number
    }
  | { readonly what: 'digests'; readonly firstRegion: number; readonly count: number }
  | { readonly what: 'blockEntries'; readonly region: number }
  /** `stamps[i]` for `regions[i]`. */
  | {
      readonly what: 'raiseStamps'
      readonly regions: readonly number[]
      readonly stamps: readonly number[]
    }
  | {
      readonly what: 'markBad'
      readonly offsetBytes: number
      readonly lengthBytes: number
      readonly stamp: number
    }
  /** There is nobody else to ask what a block in doubt should be. Rule 11. */
  | { readonly what: 'standAlone'; readonly alone: boolean }
  /** To the owner, from a member whose scrub has found a block that differs from its checksum. */
  | { readonly what: 'foundBad'; readonly peer: number; readonly offsetBytes: number }
  /** `setVersion` of the request is at least the descriptor's. Rule 21. */
  | { readonly what: 'freeRanges'; readonly ranges: readonly number[] }

export type ReplicaOrderName = ReplicaOrder['what']

const ORDER_NAMES: Record<ReplicaOrderName, true> = {
  createVolume: true,
  growVolume: true,
  deleteVolume: true,
  describe: true,
  fence: true,
  renew: true,
  release: true,
  lapsed: true,
  setVersion: true,
  reconciled: true,
  clearSegments: true,
  segments: true,
  trustSegments: true,
  regionsSince: true,
  digests: true,
  blockEntries: true,
  raiseStamps: true,
  markBad: true,
  standAlone: true,
  foundBad: true,
  freeRanges: true,
}

/** The body of a control request if it is one for a replica, else null. */
export function asReplicaOrder(body: unknown): ReplicaOrder | null {
  const what = (body as { what?: unknown } | null)?.what
  return typeof what === 'string' && Object.hasOwn(ORDER_NAMES, what) ? (body as ReplicaOrder) : null
}

export interface RenewedVolume {
  readonly uuid: string
  readonly epoch: number
}

/** Volumes that were refused, with the epoch known here; all others are granted. */
export interface RenewAnswer {
  readonly refused: readonly RenewedVolume[]
  /** Segments that are active on the brick, where they are more than it wants: owners clear some. Rule 11. */
  readonly activeSegments?: number
}

/** The highest that was persisted here, or asked for. */
export interface DescribeAnswer {
  readonly epoch: number
  readonly setVersion: number
}

export interface LapsedAnswer {
  readonly lapsed: boolean
}

/** A write, trim or zero above the commit watermark, as a member saw it. Rules 16 and 18. */
export interface ReportedOperation {
  readonly kind: BlockKind
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface ByteSpan {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** What a fence answers with. PROTOCOL rule 6. */
export interface FenceAnswer {
  readonly state: 'warm' | 'cold'
  /** As persisted before this fence. */
  readonly epoch: number
  readonly setVersion: number
  /** The process is the same and the last epoch's reconcile ended here: `operations` is all that is in doubt. */
  readonly continuous: boolean
  readonly operations: readonly ReportedOperation[]
  /** All active segments when not continuous. */
  readonly activeSegments: readonly number[]
  readonly suspectSegments: readonly number[]
  /** Both as runs where those were asked for: the lists are empty then. */
  readonly activeRuns?: readonly number[]
  readonly suspectRuns?: readonly number[]
  /** Atomic writes that other members may have or not: reconcile keeps them whole. Of older versions: none. */
  readonly atomics?: readonly ByteSpan[]
  /** Of the epoch before. PROTOCOL rule 18. */
  readonly log: OperationLog
}

export interface SegmentsAnswer {
  readonly active: readonly number[]
  readonly suspect: readonly number[]
  /** As in FenceAnswer. */
  readonly activeRuns?: readonly number[]
  readonly suspectRuns?: readonly number[]
}

/** A fence's answer as it goes to a sender that reads runs. */
export function fenceWithRuns(answer: FenceAnswer): FenceAnswer {
  const [activeRuns, suspectRuns] = [runsOf(answer.activeSegments), runsOf(answer.suspectSegments)]
  return { ...answer, activeSegments: [], suspectSegments: [], activeRuns, suspectRuns }
}

/** The lists of a fence's answer, whichever way they came. */
export function fenceWithLists({ activeRuns, suspectRuns, ...answer }: FenceAnswer): FenceAnswer {
  if (activeRuns === undefined || suspectRuns === undefined) return answer
  return { ...answer, activeSegments: segmentsOf(activeRuns), suspectSegments: segmentsOf(suspectRuns) }
}

export interface RegionsAnswer {
  readonly regions: readonly number[]
}

export interface DigestsAnswer {
  readonly digests: readonly RegionDigest[]
}

export interface BlockEntriesAnswer {
  readonly entries: readonly number[]
}

/** How the part of an order that the brick carried out ended: a BlockStatus. */
export interface BlockAnswer {
  readonly status: number
}

/** Bits of PeerRequest.flags, by kind of request. */
export const RequestFlag = {
  /** write, copyIn: there whole or not at all after a crash. */
  atomic: 8,
  /** write, trim, zero: durable before it is acknowledged. */
  fua: 1,
  /** copyIn without a payload: the range is given back. */
  absent: 2,
  /** copyIn: a block that fails its checksum is overwritten, the region's state stays. */
  repair: 4,
} as const
