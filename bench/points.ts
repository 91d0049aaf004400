/** One thing that is measured. */
export interface Point {
  readonly name: string
  /** `randrw` reads in 70 of 100 operations. */
  readonly mode: 'randread' | 'randwrite' | 'randrw' | 'read' | 'write'
  readonly blockBytes: number
  readonly queueDepth: number
  /** Each write is followed by a flush; the pair is one operation. */
  readonly flush?: boolean
  /** Each write is durable before it is answered. */
  readonly fua?: boolean
  readonly connections?: number
  /** From the volume's beginning; all of it without. */
  readonly areaBytes?: number
  /** How many times the first rival's operations a second we want to reach. */
  readonly goal?: number
  /** Measured only when asked for by name. */
  readonly onRequest?: boolean
}

const KIB = 1024
const MIB = 1024 * KIB

export const POINTS: readonly Point[] = [
  { name: 'randread-4k-qd1', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 1, goal: 1.5 },
  { name: 'randread-4k-qd32', mode: 'randread', blockBytes: 4 * KIB, queueDepth: 32, goal: 5 },
  { name: 'randwrite-4k-qd1', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 1, goal: 1.5 },
  { name: 'randwrite-4k-qd32', mode: 'randwrite', blockBytes: 4 * KIB, queueDepth: 32, goal: 4 },
  { name: 'randrw70-4k-qd32', mode: 'randrw', blockBytes: 4 * KIB, queueDepth: 32 },
  { name: 'read-1m-qd1', mode: 'read', blockBytes: MIB, queueDepth: 1 },
  { name: 'read-1m-qd8', mode: 'read', blockBytes: MIB, queueDepth: 8, goal: 1.7 },
  { name: 'write-1m-qd1', mode: 'write', blockBytes: MIB, queueDepth: 1 },
  { name: 'write-1m-qd8', mode: 'write', blockBytes: MIB, queueDepth: 8, goal: 1.5 },
  {
    name: 'write-flush-4k-qd1',
    mode: 'randwrite',
    blockBytes: 4 * KIB,
    queueDepth: 1,
    flush: true,
    onRequest: true,
  },
  {
    name: 'randread-4k-4x32',
    mode: 'randread',
    blockBytes: 4 * KIB,
    queueDepth: 32,
    connections: 4,
    onRequest: true,
  },
  {
    name: 'randrw70-4k-64x1',
    mode: 'randrw',
    blockBytes: 4 * KIB,
    queueDepth: 1,
    connections: 64,
    onRequest: true,
  },
]

/** Points by name, or by a part of it ("qd32"); the standard ones when nothing is asked for. */
export function choosePoints(points: readonly Point[], names: readonly string[]): readonly Point[] {
  if (names.length === 0) return points.filter(point => point.onRequest !== true)
  const chosen = points.filter(point => names.some(name => point.name.includes(name)))
  if (chosen.length === 0) throw new Error(`no such point; there are ${points.map(p => p.name).join(', ')}`)
  return chosen
}

/** The load generator's arguments for a point. */
export function loadArguments(point: Point): string[] {
  return [
    ...['--mode', point.mode, '--block', String(point.blockBytes), '--depth', String(point.queueDepth)],
    ...['--connections', String(point.connections ?? 1)],
    ...(point.flush ? ['--flush'] : []),
    ...(point.fua ? ['--fua'] : []),
    ...(point.areaBytes === undefined ? [] : ['--length', String(point.areaBytes)]),
  ]
}
