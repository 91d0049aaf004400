/** Bucket `i` counts latencies in [2^i, 2^(i+1)) µs, the first one everything below 2 µs, the last all above. */
export const LATENCY_BUCKETS = 28

/**
 * Counters of one thing that serves I/O (a logical unit, a session): plain numbers that the hot path adds to
 * and the metrics read. They only grow, apart from `inFlight`, and are exact to 2^53.
 */
export class IoStats {
  reads = 0
  writes = 0
  others = 0
  readBytes = 0
  writtenBytes = 0
  /** Commands that ended in anything but success. */
  errors = 0
  inFlight = 0
  latencySumUs = 0
  readonly latency = new Float64Array(LATENCY_BUCKETS)

  /** Adds what other stats have counted. */
  add(stats: IoStats): void {
    this.reads += stats.reads
    this.writes += stats.writes
    this.others += stats.others
    this.readBytes += stats.readBytes
    this.writtenBytes += stats.writtenBytes
    this.errors += stats.errors
    this.inFlight += stats.inFlight
    this.latencySumUs += stats.latencySumUs
    for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
      this.latency[bucket] = this.latency[bucket]! + stats.latency[bucket]!
    }
  }

  /** Counts one ended command's latency, in microseconds. */
  addLatency(elapsedUs: number): void {
    this.latencySumUs += elapsedUs
    // | 0 wraps after 35 minutes; what took longer belongs in the last bucket anyway.
    const whole = elapsedUs < 0x7fffffff ? elapsedUs | 0 : 0x7fffffff
    const bucket = whole < 1 ? 0 : 31 - Math.clz32(whole)
    const at = bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1
    this.latency[at] = this.latency[at]! + 1
  }
}
