/** The impossible happened: our own bug. Thrown so that the process stops before a write is acknowledged. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Stays on in production. `claim` says what should have been true. */
export function invariant(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${claim}`)
}
