import { createHash, timingSafeEqual } from 'node:crypto'

const PREFIX = 'holdfast-'
/** 192 bits: nothing is won by guessing, so a plain hash keeps it. */
const RANDOM_BYTES = 24

/** What a new peer shows to be let in. */
export function makeToken(randomBytes: (length: number) => Buffer): string {
  return PREFIX + randomBytes(RANDOM_BYTES).toString('base64url')
}

/** SHA-256, hex: what the metadata keeps of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token.trim()).digest('hex')
}

export function tokenMatches(token: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashToken(token)), Buffer.from(hash.padEnd(64).slice(0, 64)))
}
