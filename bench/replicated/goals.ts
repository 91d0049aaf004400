import type { Measurement } from '../measure.ts'
import { cpuOf, rateOf, select, spreadText, table } from '../report.ts'
import { pairedRatios, type Spread } from '../statistics.ts'
import type { ReplicatedPoint, Rival } from './points.ts'

const MB = 1e6
const DAEMON_IDLE_BYTES_MAX = 200 * MB
const DAEMON_LOADED_BYTES_MAX = 400 * MB

/** Ours over a rival's, over the same protocol, where a goal was set. */
export interface GoalResult {
  readonly point: string
  readonly ours: string
  readonly rival: string
  readonly measure: 'rate' | 'CPU per operation'
  readonly ratio: Spread
  readonly goal: number
  readonly isReached: boolean
}

/** Who is held against whom: what came over iSCSI with what came over iSCSI. */
const PAIRS: readonly { readonly ours: string; readonly theirs: string; readonly rival: Rival }[] = [
  { ours: 'holdfast-iscsi', theirs: 'ceph-iscsi', rival: 'ceph' },
  { ours: 'holdfast-iscsi', theirs: 'gluster-iscsi', rival: 'gluster' },
  { ours: 'holdfast-iscsi', theirs: 'tgt-alone', rival: 'tgt' },
  { ours: 'holdfast-nbd', theirs: 'ceph-nbd', rival: 'ceph' },
  { ours: 'holdfast-nbd', theirs: 'gluster-nbd', rival: 'gluster' },
]

function ratioOf(
  all: readonly Measurement[],
  point: ReplicatedPoint,
  { ours, theirs }: { readonly ours: string; readonly theirs: string },
  of: (m: Measurement, point: ReplicatedPoint) => number,
): Spread | null {
  const [mine, other] = [select(all, ours, point), select(all, theirs, point)]
  if (mine.length === 0 || other.length === 0) return null
  return pairedRatios(
    mine.map(m => of(m, point)),
    other.map(m => of(m, point)),
  )
}

/** Every goal for which both sides were measured. */
export function goalResults(all: readonly Measurement[], points: readonly ReplicatedPoint[]): GoalResult[] {
  const results: GoalResult[] = []
  for (const point of points) {
    for (const pair of PAIRS) {
      const names = { point: point.name, ours: pair.ours, rival: pair.theirs }
      const goal = point.goals[pair.rival]
      const rate = goal === undefined ? null : ratioOf(all, point, pair, rateOf)
      if (goal !== undefined && rate !== null) {
        results.push({ ...names, measure: 'rate', ratio: rate, goal, isReached: rate.median >= goal })
      }
      const cpuGoal = point.cpuGoals?.[pair.rival]
      const cpu = cpuGoal === undefined ? null : ratioOf(all, point, pair, cpuOf)
      if (cpuGoal !== undefined && cpu !== null) {
        const isReached = cpu.median <= cpuGoal
        results.push({ ...names, measure: 'CPU per operation', ratio: cpu, goal: cpuGoal, isReached })
      }
    }
  }
  return results
}

export function goalTable(results: readonly GoalResult[]): string {
  const rows = results.map(({ point, ours, rival, measure, ratio, goal, isReached }) => {
    const bound = measure === 'rate' ? `at least ${goal}x` : `at most ${goal.toFixed(2)}x`
    return [
      point,
      `${ours} / ${rival}`,
      measure,
      `${spreadText(ratio)}x`,
      bound,
      isReached ? 'reached' : 'missed',
    ]
  })
  return table([['point', 'ratio of', 'of', '', 'goal', ''], ...rows])
}

/** Memory of one server's processes together, and of the largest one of them. */
export interface Memory {
  readonly allBytes: number
  readonly largestBytes: number
  /** Of the largest, since it was started. */
  readonly peakBytes: number
}

export function memoryLine(name: string, idle: Memory, loaded: Memory): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / MB)} MB`
  const all = `${megabytes(idle.allBytes)} idle and ${megabytes(loaded.allBytes)} after load in all`
  const largest = `largest process ${megabytes(idle.largestBytes)} and ${megabytes(loaded.largestBytes)}`
  const line = `${name}: resident ${all}; ${largest}, ${megabytes(loaded.peakBytes)} at most`
  if (name !== 'holdfast-iscsi') return line
  const isReached = idle.largestBytes <= DAEMON_IDLE_BYTES_MAX && loaded.peakBytes <= DAEMON_LOADED_BYTES_MAX
  const goal = `${megabytes(DAEMON_IDLE_BYTES_MAX)} idle, ${megabytes(DAEMON_LOADED_BYTES_MAX)} under load`
  return `${line}; goal for a daemon ${goal}: ${isReached ? 'reached' : 'missed'}`
}
