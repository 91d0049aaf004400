/** FNV-1a, 32 bits: spreads ownership over peers, alike on all of them. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  }
  value ^= value >>> 15
  return Math.imul(value, 0x2c1b3c6d) >>> 0
}

/** In which place a peer may try to own a volume, by rendezvous hashing: 0 first; after all if it is none of them. */
export function candidateRank(volumeUuid: string, peers: readonly number[], self: number): number {
  if (!peers.includes(self)) return peers.length
  const own = hash(`${volumeUuid} ${self}`)
  return peers.filter(peer => {
    const other = hash(`${volumeUuid} ${peer}`)
    return other > own || (other === own && peer < self)
  }).length
}
