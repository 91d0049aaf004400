import type { Point } from '../points.ts'

/** Whose figures ours are held against. `tgt` keeps one copy, everybody else three. */
export type Rival = 'ceph' | 'gluster' | 'tgt'

export interface ReplicatedPoint extends Point {
  /** How many times the rival's operations a second we want to reach. */
  readonly goals: Partial<Record<Rival, number>>
  /** Which share of the rival's CPU per operation we want to stay under. */
  readonly cpuGoals?: Partial<Record<Rival, number>>
}

const KIB = 1024
const MIB = 1024 * KIB

/** Of the volume's beginning that is written and read, the same for everybody: filling more takes Ceph minutes. */
export const AREA_BYTES = 256 * MIB

export const REPLICATED_POINTS: readonly ReplicatedPoint[] = [
  {
    name: 'randwrite-4k-qd1',
    areaBytes: AREA_BYTES,
    mode: 'randwrite',
    blockBytes: 4 * KIB,
    queueDepth: 1,
    goals: { ceph: 10, gluster: 5 },
  },
  {
    name: 'randwrite-4k-qd32',
    areaBytes: AREA_BYTES,
    mode: 'randwrite',
    blockBytes: 4 * KIB,
    queueDepth: 32,
    goals: { ceph: 20, gluster: 10, tgt: 1 },
    cpuGoals: { ceph: 1 / 20 },
  },
  {
    name: 'randread-4k-qd32',
    areaBytes: AREA_BYTES,
    mode: 'randread',
    blockBytes: 4 * KIB,
    queueDepth: 32,
    goals: { ceph: 10, gluster: 10 },
  },
  {
    name: 'write-64k-qd8',
    areaBytes: AREA_BYTES,
    mode: 'write',
    blockBytes: 64 * KIB,
    queueDepth: 8,
    goals: { ceph: 4, gluster: 4 },
  },
  {
    name: 'write-flush-4k-qd1',
    areaBytes: AREA_BYTES,
    mode: 'randwrite',
    blockBytes: 4 * KIB,
    queueDepth: 1,
    flush: true,
    goals: {},
  },
]

/** Writes or reads the area once. */
export function wholeArea(mode: 'read' | 'write'): Point {
  return { name: 'whole', mode, blockBytes: MIB, queueDepth: 8, areaBytes: AREA_BYTES }
}

/** Points by name or by a part of it; all when nothing is asked for. */
export function chooseReplicatedPoints(names: readonly string[]): readonly ReplicatedPoint[] {
  const chosen = REPLICATED_POINTS.filter(
    ({ name }) => names.length === 0 || names.some(part => name.includes(part)),
  )
  if (chosen.length > 0) return chosen
  throw new Error(`no such point; there are ${REPLICATED_POINTS.map(({ name }) => name).join(', ')}`)
}
