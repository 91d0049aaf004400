import { timingSafeEqual } from 'node:crypto'
import type { ChapPolicy } from '../target-directory.ts'
import type { KeyValue } from '../text/key-value.ts'
import { formatBinary, parseBinary, parseList, parseNumber } from '../text/values.ts'
import {
  CHAP_ALGORITHMS_BY_STRENGTH,
  type ChapAlgorithm,
  chapDigestBytes,
  chapResponse,
} from './chap-algorithm.ts'

/** CHAP_C and CHAP_R, before their encoding. RFC 7143 §12.1.3. */
const CHAP_BINARY_BYTES_MAX = 1024
const IDENTIFIER_MAX = 255

export const CHAP_KEYS = ['CHAP_A', 'CHAP_N', 'CHAP_R', 'CHAP_I', 'CHAP_C'] as const
export type ChapKeys = Partial<Readonly<Record<(typeof CHAP_KEYS)[number], string>>>

export type ChapStep =
  | { readonly next: 'answer'; readonly pairs: readonly KeyValue[] }
  /** The initiator has proved itself; `pairs` is our own proof, if it asked for one. */
  | { readonly next: 'proved'; readonly pairs: readonly KeyValue[] }
  | { readonly next: 'failed'; readonly fault: string }
  /** RFC 7143 §9.2.1 wants the connection closed without a word. */
  | { readonly next: 'close'; readonly fault: string }

interface Challenge {
  readonly algorithm: ChapAlgorithm
  readonly identifier: number
  readonly value: Buffer
}

function failed(fault: string): ChapStep {
  return { next: 'failed', fault }
}

/** The target's side of one CHAP exchange. RFC 7143 §12.1.3. */
export class ChapExchange {
  readonly #policy: ChapPolicy
  readonly #allowed: readonly ChapAlgorithm[]
  readonly #randomBytes: (lengthBytes: number) => Buffer
  #challenge: Challenge | null = null
  #over = false

  constructor(
    policy: ChapPolicy,
    allowed: readonly ChapAlgorithm[],
    randomBytes: (lengthBytes: number) => Buffer,
  ) {
    this.#policy = policy
    this.#allowed = allowed
    this.#randomBytes = randomBytes
  }

  receive(keys: ChapKeys): ChapStep {
    if (this.#over) return failed('CHAP keys after the exchange has ended')
    return this.#challenge === null ? this.#chooseAlgorithm(keys) : this.#checkResponse(keys, this.#challenge)
  }

  #chooseAlgorithm(keys: ChapKeys): ChapStep {
    if (keys.CHAP_A === undefined) return failed('CHAP_A is missing')
    const offered = parseList(keys.CHAP_A).map(parseNumber)
    const algorithm = CHAP_ALGORITHMS_BY_STRENGTH.find(
      candidate => this.#allowed.includes(candidate) && offered.includes(candidate),
    )
    if (algorithm === undefined) return failed('no CHAP algorithm in common')
    const identifier = this.#randomBytes(1)[0]
    const value = this.#randomBytes(chapDigestBytes(algorithm))
    this.#challenge = { algorithm, identifier, value }
    return {
      next: 'answer',
      pairs: [
        { key: 'CHAP_A', value: String(algorithm) },
        { key: 'CHAP_I', value: String(identifier) },
        { key: 'CHAP_C', value: formatBinary(value) },
      ],
    }
  }

  #checkResponse(keys: ChapKeys, challenge: Challenge): ChapStep {
    this.#over = true
    if (keys.CHAP_N === undefined || keys.CHAP_R === undefined) return failed('CHAP_N or CHAP_R is missing')
    const response = parseBinary(keys.CHAP_R, CHAP_BINARY_BYTES_MAX)
    if (response === null) return failed('CHAP_R is no binary value')
    const { algorithm, identifier, value } = challenge
    const expected = chapResponse(algorithm, identifier, this.#policy.secret, value)
    const rightSecret = response.length === expected.length && timingSafeEqual(response, expected)
    if (!rightSecret || keys.CHAP_N !== this.#policy.user) return failed('wrong CHAP user or secret')
    return this.#proveOurselves(keys, challenge)
  }

  #proveOurselves(keys: ChapKeys, challenge: Challenge): ChapStep {
    if (keys.CHAP_I === undefined && keys.CHAP_C === undefined) return { next: 'proved', pairs: [] }
    const identifier = parseNumber(keys.CHAP_I ?? '')
    const value = parseBinary(keys.CHAP_C ?? '', CHAP_BINARY_BYTES_MAX)
    if (identifier === null || identifier > IDENTIFIER_MAX || value === null) {
      return failed('CHAP_I or CHAP_C of the initiator is missing or malformed')
    }
    if (value.equals(challenge.value)) return { next: 'close', fault: 'CHAP challenge reflected' }
    const { mutual } = this.#policy
    if (mutual === undefined) return failed('mutual CHAP asked for, none configured')
    const response = chapResponse(challenge.algorithm, identifier, mutual.secret, value)
    return {
      next: 'proved',
      pairs: [
        { key: 'CHAP_N', value: mutual.user },
        { key: 'CHAP_R', value: formatBinary(response) },
      ],
    }
  }
}
