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
    total.add(stats)
  }
  return totals
}
