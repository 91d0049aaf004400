/**
 * Segments in few bytes of JSON: how many are left out, how many follow, and so on. What is active are mostly runs,
 * and lists of a brick with millions of active segments would not fit into a frame.
 */
export function runsOf(segments: readonly number[]): number[] {
  const runs: number[] = []
  let end = 0
  for (const segment of [...segments].sort((a, b) => a - b)) {
    if (segment < end) continue
    if (segment === end && runs.length > 0) runs[runs.length - 1]!++
    else runs.push(segment - end, 1)
    end = segment + 1
  }
  return runs
}

export function segmentsOf(runs: readonly number[]): number[] {
  const segments: number[] = []
  let at = 0
  for (let i = 0; i + 1 < runs.length; i += 2) {
    at += runs[i]!
    for (const end = at + runs[i + 1]!; at < end; at++) segments.push(at)
  }
  return segments
}
