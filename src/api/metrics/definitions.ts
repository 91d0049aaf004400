import type { IoStats } from '../../lib/io-stats.ts'
import type { MetricSources } from '../backend.ts'
import { replicationMetrics } from './replication-metrics.ts'
import type { Histogram, Labels, MetricDefinition } from './samples.ts'

type Read = (sources: MetricSources) => Iterable<readonly [Labels, number]>

const NO_LABELS: Labels = {}

/** One value of the daemon or its brick. */
const one =
  (value: (sources: MetricSources) => number): Read =>
  sources => [[NO_LABELS, value(sources)]]

function counter(name: string, help: string, labels: readonly string[], read: Read): MetricDefinition {
  return { name, help, type: 'counter', labels, read }
}

function gauge(name: string, help: string, labels: readonly string[], read: Read): MetricDefinition {
  return { name, help, type: 'gauge', labels, read }
}

const OPERATIONS = [
  ['read', (stats: IoStats) => stats.reads],
  ['write', (stats: IoStats) => stats.writes],
  ['other', (stats: IoStats) => stats.others],
] as const
const DIRECTIONS = [
  ['read', (stats: IoStats) => stats.readBytes],
  ['write', (stats: IoStats) => stats.writtenBytes],
] as const

interface Measured {
  readonly labels: Labels
  readonly stats: IoStats
}

/** The five metrics that volumes and sessions have alike. */
function ioMetrics(
  area: 'volume' | 'session',
  labels: readonly string[],
  measured: (sources: MetricSources) => readonly Measured[],
): MetricDefinition[] {
  const each =
    (value: (stats: IoStats) => number): Read =>
    sources =>
      measured(sources).map(({ labels, stats }) => [labels, value(stats)] as const)
  const split =
    (kinds: readonly (readonly [string, (stats: IoStats) => number])[]): Read =>
    sources =>
      measured(sources).flatMap(({ labels, stats }) =>
        kinds.map(([operation, value]) => [{ ...labels, operation }, value(stats)] as const),
      )
  const withOperation = [...labels, 'operation']
  return [
    counter(
      `holdfast_${area}_operations_total`,
      `Commands ended, per ${area}.`,
      withOperation,
      split(OPERATIONS),
    ),
    counter(
      `holdfast_${area}_transferred_bytes_total`,
      `Data read and written, per ${area}.`,
      withOperation,
      split(DIRECTIONS),
    ),
    counter(
      `holdfast_${area}_errors_total`,
      `Commands that did not succeed, per ${area}.`,
      labels,
      each(stats => stats.errors),
    ),
    gauge(
      `holdfast_${area}_queue_depth`,
      `Commands in flight, per ${area}.`,
      labels,
      each(stats => stats.inFlight),
    ),
    {
      name: `holdfast_${area}_latency_seconds`,
      help: `From a command's arrival to its status, per ${area}.`,
      type: 'histogram',
      labels,
      read: sources => measured(sources).map(({ labels, stats }) => [labels, latencyOf(stats)] as const),
    },
  ]
}

function latencyOf(stats: IoStats): Histogram {
  return { buckets: stats.latency, sumUs: stats.latencySumUs }
}

/** Everything that /metrics shows; docs/reference/metrics.md is made from it. */
export const metricDefinitions: readonly MetricDefinition[] = [
  ...ioMetrics('volume', ['volume'], sources =>
    [...sources.volumes()].map(({ volume, stats }) => ({ labels: { volume }, stats })),
  ),
  ...ioMetrics('session', ['session', 'initiator', 'target'], sources =>
    [...sources.sessions()].map(({ stats, session, initiator, target }) => ({
      labels: { session, initiator, target },
      stats,
    })),
  ),
  counter(
    'holdfast_volume_throttled_operations_total',
    "Operations that waited for a limit of their volume, counted at the volume's owner.",
    ['volume'],
    s => [...s.throttled()].map(({ volume, operations }) => [{ volume }, operations] as const),
  ),
  counter(
    'holdfast_volume_throttled_seconds_total',
    'How long these operations waited, all together.',
    ['volume'],
    s => [...s.throttled()].map(({ volume, waitedMs }) => [{ volume }, waitedMs / 1000] as const),
  ),
  gauge(
    'holdfast_store_capacity_bytes',
    'What the brick may use.',
    [],
    one(s => s.capacity.limitBytes),
  ),
  gauge(
    'holdfast_store_used_bytes',
    'Reserved for data.',
    [],
    one(s => s.capacity.usedBytes),
  ),
  gauge(
    'holdfast_store_dirty_bytes',
    'Written and not yet on disk.',
    [],
    one(s => s.capacity.dirtyBytes),
  ),
  gauge(
    'holdfast_store_dirty_cap_bytes',
    'At this many dirty bytes writes wait.',
    [],
    one(s => s.capacity.dirtyCapBytes),
  ),
  gauge(
    'holdfast_store_failed_bricks',
    '1 when the brick has left service after a failed write or fsync.',
    [],
    one(s => (s.brickFailed ? 1 : 0)),
  ),
  counter(
    'holdfast_store_checksum_errors_total',
    'Blocks that failed their checksum.',
    [],
    one(s => s.brick.checksumErrors),
  ),
  counter(
    'holdfast_store_flushes_total',
    'Flushes asked for.',
    [],
    one(s => s.brick.flushes),
  ),
  counter(
    'holdfast_store_fdatasyncs_total',
    'fdatasync calls that served them.',
    [],
    one(s => s.brick.fdatasyncs),
  ),
  counter(
    'holdfast_store_operations_total',
    'Reads and writes of the brick, answered inline or after waiting.',
    ['operation', 'path'],
    s => [
      [{ operation: 'read', path: 'inline' }, s.brick.readsInline],
      [{ operation: 'read', path: 'waited' }, s.brick.readsWaited],
      [{ operation: 'write', path: 'inline' }, s.brick.writesInline],
      [{ operation: 'write', path: 'waited' }, s.brick.writesWaited],
    ],
  ),
  gauge(
    'holdfast_scrub_checked_bytes',
    'Checked by the scrub that runs or ran last.',
    [],
    one(s => s.scrub?.checkedBytes ?? 0),
  ),
  gauge(
    'holdfast_scrub_bad_blocks',
    'Bad blocks that it found.',
    [],
    one(s => s.scrub?.badBlocks ?? 0),
  ),
  counter('holdfast_iscsi_connections_closed_total', 'Connections closed, by reason.', ['reason'], s =>
    [...s.closedConnections()].map(([reason, count]) => [{ reason }, count] as const),
  ),
  counter('holdfast_nbd_connections_closed_total', 'NBD connections closed, by reason.', ['reason'], s =>
    [...s.closedNbdConnections()].map(([reason, count]) => [{ reason }, count] as const),
  ),
  {
    name: 'holdfast_event_loop_delay_seconds',
    help: 'How much later than asked the event loop came round.',
    type: 'histogram',
    labels: [],
    read: s => [[NO_LABELS, { buckets: s.eventLoop.delay, sumUs: s.eventLoop.delaySumUs }]],
  },
  counter(
    'holdfast_event_loop_stalls_total',
    'Times that the event loop stood still for over 100 ms.',
    [],
    one(s => s.eventLoop.stalls),
  ),
  ...replicationMetrics.map(({ name, help, type, value }) => ({
    name,
    help,
    type,
    labels: [],
    read: one(s => s.replication.reduce((sum, statistics) => sum + value(statistics), 0)),
  })),
  gauge('holdfast_process_resident_bytes', 'Memory of the daemon.', [], () => [
    [NO_LABELS, process.memoryUsage.rss()],
  ]),
  counter('holdfast_process_cpu_seconds_total', 'CPU time of the daemon, user and system.', [], () => {
    const { user, system } = process.cpuUsage()
    return [[NO_LABELS, (user + system) / 1e6]]
  }),
]
