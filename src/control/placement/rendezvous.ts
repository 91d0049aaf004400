/** Bits of a draw: as many as a double holds exactly in [0, 1). */
const DRAW_BITS = 52
const HIGH = 2 ** (DRAW_BITS - 32)

/**
 * A number in (0, 1) that depends on nothing but the volume, the range and the peer: FNV-1a over the text, then
 * MurmurHash3's finaliser, twice. Never changed: other draws would move every range of every cluster.
 */
function draw(volumeUuid: string, range: number, peerNumber: number): number {
  const text = `${volumeUuid} ${range} ${peerNumber}`
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  const low = finalised(hash)
  const high = finalised(low ^ 0x9e3779b9) >>> (64 - DRAW_BITS)
  return (high * 2 ** 32 + low + 0.5) / (HIGH * 2 ** 32)
}

function finalised(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/**
 * Weighted rendezvous hashing: among any set of peers the one with the highest score wins with a chance that is
 * its share of the weight, and adding or taking away a peer changes only what that peer wins or had won.
 * (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.) `weight` above 0.
 */
export function rendezvousScore(
  volumeUuid: string,
  range: number,
  peerNumber: number,
  weight: number,
): number {
  return -weight / Math.log(draw(volumeUuid, range, peerNumber))
}
