import { createHash } from 'node:crypto'

/** CHAP_A values: MD5 from RFC 7143 §12.1.3, the others registered with IANA. */
export const ChapAlgorithm = { md5: 5, sha1: 6, sha256: 7, sha3256: 8 } as const
export type ChapAlgorithm = (typeof ChapAlgorithm)[keyof typeof ChapAlgorithm]

interface Hash {
  readonly name: string
  readonly digestBytes: number
}

const HASHES: Readonly<Record<ChapAlgorithm, Hash>> = {
  [ChapAlgorithm.md5]: { name: 'md5', digestBytes: 16 },
  [ChapAlgorithm.sha1]: { name: 'sha1', digestBytes: 20 },
  [ChapAlgorithm.sha256]: { name: 'sha256', digestBytes: 32 },
  [ChapAlgorithm.sha3256]: { name: 'sha3-256', digestBytes: 32 },
}

/** Strongest first. */
export const CHAP_ALGORITHMS_BY_STRENGTH: readonly ChapAlgorithm[] = [
  ChapAlgorithm.sha3256,
  ChapAlgorithm.sha256,
  ChapAlgorithm.sha1,
  ChapAlgorithm.md5,
]

export function chapDigestBytes(algorithm: ChapAlgorithm): number {
  return HASHES[algorithm].digestBytes
}

/** The response to a challenge: hash of identifier, secret, challenge. RFC 1994 §4.1. */
export function chapResponse(
  algorithm: ChapAlgorithm,
  identifier: number,
  secret: Buffer,
  challenge: Buffer,
): Buffer {
  return createHash(HASHES[algorithm].name)
    .update(Buffer.of(identifier))
    .update(secret)
    .update(challenge)
    .digest()
}
