import type { Point } from '../points.ts'

const KIB = 1024
const MIB = 1024 * KIB

const READ_QD1: Point = {
  name: 'randread-4k-qd1',
  mode: 'randread',
  blockBytes: 4 * KIB,
  queueDepth: 1,
  goal: 1.2,
}
const WRITE_QD1: Point = {
  name: 'randwrite-4k-qd1',
  mode: 'randwrite',
  blockBytes: 4 * KIB,
  queueDepth: 1,
  goal: 1.2,
}

/** The goals are ratios to nbdkit's operations a second. */
export const NBD_POINTS: readonly Point[] = [
  READ_QD1,
  { name: 'randread-4k-qd32', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 32, goal: 1.6 },
  {
    name: 'randread-4k-4x32',
    mode: 'randread',
    blockBytes: 4 * KIB,
    queueDepth: 32,
    connections: 4,
    goal: 1.2,
  },
  WRITE_QD1,
  { name: 'randwrite-4k-qd32', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 32, goal: 3 },
  { name: 'randrw70-4k-qd32', mode: 'randrw', blockBytes: 4 * KIB, queueDepth: 32 },
  {
    name: 'write-flush-4k-qd1',
    mode: 'randwrite',
    blockBytes: 4 * KIB,
    queueDepth: 1,
    flush: true,
    goal: 1.3,
  },
  { name: 'write-fua-4k-qd32', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 32, fua: true, goal: 1.5 },
  { name: 'read-64k-qd16', mode: 'read', blockBytes: 64 * KIB, queueDepth: 16 },
  { name: 'read-1m-qd8', mode: 'read', blockBytes: MIB, queueDepth: 8, goal: 1 },
  { name: 'write-1m-qd8', mode: 'write', blockBytes: MIB, queueDepth: 8, goal: 1 },
]

/** Where no client is the limit, so that two of them must agree. */
export const NBD_CHECK_POINTS: readonly Point[] = [READ_QD1, WRITE_QD1]
