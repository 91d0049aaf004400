import { ChapAlgorithm } from '../chap/chap-algorithm.ts'

/** What we bring into a negotiation, RFC 7143 §13: lengths in bytes, times in seconds. */
export interface LoginParameters {
  readonly maxRecvDataSegmentLength: number
  readonly maxBurstLength: number
  readonly firstBurstLength: number
  readonly immediateData: boolean
  readonly initialR2T: boolean
  readonly maxOutstandingR2T: number
  readonly defaultTime2Wait: number
  readonly defaultTime2Retain: number
  /** Digests that we agree to; of these the first in the initiator's list wins. */
  readonly headerDigests: readonly DigestName[]
  readonly dataDigests: readonly DigestName[]
  /** CHAP algorithms allowed; the strongest that the initiator offers wins. */
  readonly chapAlgorithms: readonly ChapAlgorithm[]
}

export type DigestName = 'None' | 'CRC32C'

const KIB = 1024

export const defaultLoginParameters: LoginParameters = {
  maxRecvDataSegmentLength: 256 * KIB,
  maxBurstLength: KIB * KIB,
  firstBurstLength: 256 * KIB,
  immediateData: true,
  initialR2T: false,
  maxOutstandingR2T: 8,
  defaultTime2Wait: 0,
  defaultTime2Retain: 0,
  headerDigests: ['None', 'CRC32C'],
  dataDigests: ['None', 'CRC32C'],
  chapAlgorithms: [ChapAlgorithm.md5, ChapAlgorithm.sha1, ChapAlgorithm.sha256, ChapAlgorithm.sha3256],
}
