/** How long a replica promises to honour no fence, from receipt of the request. PROTOCOL rule 4. */
export const GRANT_MS = 2_000
export const RENEW_EVERY_MS = 500
/** Assumed: the rate of each machine's clock differs from that of time by no more than this. */
export const CLOCK_RATE_ERROR = 0.01

/** Until when a replica keeps the promise that it gives now. */
export function promisedUntilMs(receivedAtMs: number): number {
  return receivedAtMs + GRANT_MS
}

/**
 * Until when an owner may count on a promise that it asked for at `sentAtMs` of its own clock, which may be as slow as
 * the replica's is fast.
 */
export function countedUntilMs(sentAtMs: number): number {
  return sentAtMs + GRANT_MS * (1 - 2 * CLOCK_RATE_ERROR)
}

/** Until when a replica that has just started honours no fence: it forgot what it had promised. Rule 5. */
export function forgottenUntilMs(startedAtMs: number): number {
  return startedAtMs + GRANT_MS * (1 + CLOCK_RATE_ERROR)
}

/**
 * Until when reads of a range are authorised: |S|-M+1 grants are needed, so that any M members that a fence
 * could gather include one of them. `expiriesMs` are the members' grants, in any order; it is sorted.
 */
export function readableUntilMs(expiriesMs: number[], minReplicas: number): number {
  const needed = expiriesMs.length - minReplicas + 1
  if (needed < 1 || needed > expiriesMs.length) return 0
  expiriesMs.sort((a, b) => b - a)
  return expiriesMs[needed - 1]!
}
