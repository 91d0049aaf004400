import { IoStats } from '../lib/io-stats.ts'

/** Sums counters that belong to one name, such as a volume's under several targets. */
export function totalsByName(
  counted: Iterable<readonly [name: string, stats: IoStats]>,
): Map<string, IoStats> {
  const totals = new Map<string, IoStats>()
  for (const [name, stats] of counted) {
    let total = totals.get(name)
    if (total === undefined) {
      total = new IoStats()
      totals.set(name, total)
    }
    add(total, stats)
  }
  return totals
}

function add(total: IoStats, stats: IoStats): void {
  total.reads += stats.reads
  total.writes += stats.writes
  total.others += stats.others
  total.readBytes += stats.readBytes
  total.writtenBytes += stats.writtenBytes
  total.errors += stats.errors
  total.inFlight += stats.inFlight
  total.latencySumUs += stats.latencySumUs
  for (const [bucket, count] of stats.latency.entries()) total.latency[bucket]! += count
}
