import type { Compare, KeyValue } from './metadata-store.ts'

/** Whether a comparison holds for what its key has; null for a key that is missing. */
export function compareHolds(compare: Compare, entry: KeyValue | null): boolean {
  if (compare.target !== 'value') return holds(entry?.[compare.target] ?? 0n, compare.is, compare.value)
  // etcd: a missing key has no value to compare, so even != fails.
  return entry !== null && entry.value.equals(compare.value) === (compare.is === '=')
}

function holds(actual: bigint, is: '=' | '>' | '<' | '!=', wanted: bigint): boolean {
  if (is === '=') return actual === wanted
  if (is === '!=') return actual !== wanted
  return is === '>' ? actual > wanted : actual < wanted
}
