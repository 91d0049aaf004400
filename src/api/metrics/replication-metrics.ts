import type { ReplicationStatistics } from '../../replication/replication.ts'

interface ReplicationMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly value: (statistics: ReplicationStatistics) => number
}

const total = (
  statistics: ReplicationStatistics,
  value: (owned: ReplicationStatistics['owned'][number]) => number,
): number => statistics.owned.reduce((sum, owned) => sum + value(owned), 0)

/** What replication counts and holds, over the peers of this process. */
export const replicationMetrics: readonly ReplicationMetric[] = [
  {
    name: 'holdfast_replication_owned_volumes',
    help: 'Volumes that this daemon owns.',
    type: 'gauge',
    value: statistics => statistics.owned.length,
  },
  {
    name: 'holdfast_replication_missing_replicas',
    help: 'Members of owned volumes that are out of some in-sync set.',
    type: 'gauge',
    value: statistics => total(statistics, ({ out }) => out.length),
  },
  {
    name: 'holdfast_replication_waiting_ranges',
    help: 'Ranges of owned volumes that too few members answer for.',
    type: 'gauge',
    value: statistics => total(statistics, ({ rangesWaiting }) => rangesWaiting),
  },
  {
    name: 'holdfast_replication_reconcile_regions',
    help: 'Regions of owned volumes that are still to be reconciled after a takeover.',
    type: 'gauge',
    value: statistics => total(statistics, ({ regionsToReconcile }) => regionsToReconcile),
  },
  {
    name: 'holdfast_resync_speed_bytes',
    help: 'Copied in a second, by the resyncs and moves that owners here have under way.',
    type: 'gauge',
    value: statistics => total(statistics, ({ copy }) => copy?.bytesPerSecond ?? 0),
  },
  {
    name: 'holdfast_resync_left_regions',
    help: 'Regions that these have still to compare.',
    type: 'gauge',
    value: statistics =>
      total(statistics, ({ copy }) =>
        copy === null ? 0 : Math.max(0, copy.regionsTotal - copy.regionsDone),
      ),
  },
  {
    name: 'holdfast_resync_left_seconds',
    help: 'Until the last of these has ended, as if the rest went like the part before; 0 while nothing can be said.',
    type: 'gauge',
    value: ({ owned }) => owned.reduce((left, { copy }) => Math.max(left, (copy?.etaMs ?? 0) / 1000), 0),
  },
  {
    name: 'holdfast_replication_takeovers_total',
    help: 'Volumes that this daemon began to own.',
    type: 'counter',
    value: ({ takeovers }) => takeovers,
  },
  {
    name: 'holdfast_replication_ejections_total',
    help: 'Replicas that were taken out of in-sync sets.',
    type: 'counter',
    value: ({ ejections }) => ejections,
  },
  {
    name: 'holdfast_replication_refusals_total',
    help: 'Requests of former owners that the replicas here refused.',
    type: 'counter',
    value: ({ staleRefused }) => staleRefused,
  },
  {
    name: 'holdfast_replication_repairs_total',
    help: 'Blocks that were repaired from another replica.',
    type: 'counter',
    value: ({ blocksRepaired }) => blocksRepaired,
  },
]
