import { BASE_ALLOCATION } from '../wire/constants.ts'

/** "The base: metadata namespace": a wildcard in a list, nothing in a selection. */
const BASE_WILDCARD = 'base:'

/** Do the queries of SET_META_CONTEXT (`sets`) or LIST_META_CONTEXT mean base:allocation? Others are ignored. */
export function matchContexts(queries: readonly string[], sets: boolean): boolean {
  if (queries.includes(BASE_ALLOCATION)) return true
  return !sets && (queries.length === 0 || queries.includes(BASE_WILDCARD))
}
