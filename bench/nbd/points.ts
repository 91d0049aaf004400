import type { Point } from '../points.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** The goals are ratios to nbdkit's operations a second. */
export const NBD_POINTS: readonly Point[] = [
  { name: 'randread-4k-qd1', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 1, goal: 1.2 },
  { name: 'randread-4k-qd32', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 32, goal: 1.3 },
  { name: 'randread-4k-4x32', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 32, connections: 4 },
  { name: 'randwrite-4k-qd1', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 1, goal: 1.2 },
  { name: 'randwrite-4k-qd32', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 32, goal: 1.5 },
  { name: 'read-1m-qd8', mode: 'read', blockBytes: MIB, queueDepth: 8, goal: 1 },
  { name: 'write-1m-qd8', mode: 'write', blockBytes: MIB, queueDepth: 8, goal: 0.9 },
]
