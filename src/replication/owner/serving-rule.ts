/** What the owner of an epoch knows of one member of a set. PROTOCOL rule 7. */
export type FenceState = 'waiting' | 'warm' | 'cold' | 'failed'

/**
 * serve: M are fenced, one of them warm, and so are the rest. remove: the same once `remove` have left by a
 * transaction. onlyCold: whoever is fenced is cold; `everybody`: the others have answered that they will not be warm.
 * wait: too few yet.
 */
export type ServingVerdict =
  | { readonly may: 'serve' }
  | { readonly may: 'remove'; readonly peers: readonly number[] }
  | { readonly may: 'onlyCold'; readonly everybody: boolean }
  | { readonly may: 'wait' }

/** May a range with this in-sync set be served? Never by fewer than M, for reads too. */
export function servingVerdict(
  set: readonly number[],
  minReplicas: number,
  stateOf: (peer: number) => FenceState,
): ServingVerdict {
  const fenced = set.filter(peer => stateOf(peer) === 'warm' || stateOf(peer) === 'cold')
  if (fenced.length < minReplicas) return { may: 'wait' }
  if (!fenced.some(peer => stateOf(peer) === 'warm')) {
    return { may: 'onlyCold', everybody: set.every(peer => stateOf(peer) !== 'waiting') }
  }
  const absent = set.filter(peer => !fenced.includes(peer))
  return absent.length === 0 ? { may: 'serve' } : { may: 'remove', peers: absent }
}

/** S(r) by range: small numbers. */
export type Sets = readonly (readonly number[])[]

/**
 * Whether a range would be left to members that have yet to be made like one that is going: what it alone knows would
 * be lost without anybody hearing of it. PROTOCOL rule 16.
 */
export function losesSource(
  before: Sets,
  after: Sets,
  isGood: (peer: number, range: number) => boolean,
): boolean {
  const hasGood = (set: readonly number[] | undefined, range: number) =>
    set?.some(peer => isGood(peer, range)) === true
  return before.some((set, range) => hasGood(set, range) && !hasGood(after[range], range))
}
