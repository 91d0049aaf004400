import { type ChapAlgorithm, chapResponse } from '../../../src/iscsi-target/chap/chap-algorithm.ts'
import { parseBinary } from '../../../src/iscsi-target/text/values.ts'

export interface ChapCredentials {
  readonly user: string
  readonly secret: string
  /** CHAP_A as it is offered; default `5`. */
  readonly algorithms?: string
  readonly encoding?: 'hex' | 'base64'
  /** Ask the target to prove itself, and how it should. */
  readonly mutual?: { readonly user: string; readonly secret: string }
  /** Misbehave: send the target's challenge back as ours. */
  readonly reflect?: boolean
}

const OUR_IDENTIFIER = 0x5c
const OUR_CHALLENGE = Buffer.from('a challenge from the initiator..')
const CHALLENGE_BYTES_MAX = 1024

/** The initiator's side of CHAP, RFC 7143 §12.1.3. */
export class ChapClient {
  readonly #credentials: ChapCredentials
  #algorithm: ChapAlgorithm = 5

  constructor(credentials: ChapCredentials) {
    this.#credentials = credentials
  }

  get offer(): Record<string, string> {
    return { CHAP_A: this.#credentials.algorithms ?? '5' }
  }

  /** The algorithm that the target chose. */
  get algorithm(): ChapAlgorithm {
    return this.#algorithm
  }

  respond(keys: ReadonlyMap<string, string>): Record<string, string> {
    const { user, secret, mutual, reflect } = this.#credentials
    this.#algorithm = Number(keys.get('CHAP_A')) as ChapAlgorithm
    const challenge = binary(keys, 'CHAP_C')
    const identifier = Number(keys.get('CHAP_I'))
    const response = chapResponse(this.#algorithm, identifier, Buffer.from(secret), challenge)
    const answer = { CHAP_N: user, CHAP_R: this.#encode(response) }
    if (mutual === undefined && !reflect) return answer
    const theirs = this.#encode(reflect ? challenge : OUR_CHALLENGE)
    return { ...answer, CHAP_I: String(OUR_IDENTIFIER), CHAP_C: theirs }
  }

  /** True when the target proved itself as it should, or was not asked to. */
  verify(keys: ReadonlyMap<string, string>): boolean {
    const { mutual } = this.#credentials
    if (mutual === undefined) return true
    const expected = chapResponse(this.#algorithm, OUR_IDENTIFIER, Buffer.from(mutual.secret), OUR_CHALLENGE)
    return keys.get('CHAP_N') === mutual.user && binary(keys, 'CHAP_R').equals(expected)
  }

  #encode(bytes: Buffer): string {
    return this.#credentials.encoding === 'base64'
      ? `0b${bytes.toString('base64')}`
      : `0x${bytes.toString('hex')}`
  }
}

function binary(keys: ReadonlyMap<string, string>, key: string): Buffer {
  const bytes = parseBinary(keys.get(key) ?? '', CHALLENGE_BYTES_MAX)
  if (bytes === null) throw new Error(`the target sent no valid ${key}`)
  return bytes
}
