import { HoldfastError } from '../errors/holdfast-error.ts'
import type { ChapPolicy } from '../iscsi-target/target-directory.ts'
import type { TargetValue } from './layout.ts'
import type { ChapRecord } from './records.ts'

/** RFC 7143 §9.2.1 asks for 96 bits at least; the upper bound is that of a CHAP_N or CHAP_R value. */
const CHAP_SECRET_BYTES = { min: 12, max: 255 } as const
const CHAP_USER_BYTES_MAX = 255
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
const UNPRINTABLE = /[\u0000-\u001f\u007f]/

/** Without the `initiator` that says where it goes. */
export interface ChapInput {
  readonly user: string
  readonly secret: string
  readonly mutualUser?: string | undefined
  readonly mutualSecret?: string | undefined
}

function checkUser(what: string, user: string): void {
  const bytes = Buffer.byteLength(user)
  if (bytes >= 1 && bytes <= CHAP_USER_BYTES_MAX && !UNPRINTABLE.test(user)) return
  throw new HoldfastError(
    'ERR_ARGUMENT_INVALID',
    `the ${what} must have 1 to ${CHAP_USER_BYTES_MAX} bytes and no control characters`,
  )
}

function checkSecret(what: string, secret: string): void {
  const { min, max } = CHAP_SECRET_BYTES
  const bytes = Buffer.byteLength(secret)
  if (bytes >= min && bytes <= max) return
  throw new HoldfastError('ERR_CHAP_SECRET', `the ${what} must have ${min} to ${max} bytes, it has ${bytes}`)
}

/** What is kept of an input. Throws ERR_CHAP_SECRET or ERR_ARGUMENT_INVALID; no message holds a secret. */
export function parseChap(input: ChapInput): ChapRecord {
  checkUser('CHAP user', input.user)
  checkSecret('CHAP secret', input.secret)
  if (input.mutualUser === undefined && input.mutualSecret === undefined) {
    return { user: input.user, secret: input.secret }
  }
  if (input.mutualUser === undefined || input.mutualSecret === undefined) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', 'mutual CHAP needs both a user and a secret')
  }
  checkUser('mutual CHAP user', input.mutualUser)
  checkSecret('mutual CHAP secret', input.mutualSecret)
  const { user, secret, mutualUser, mutualSecret } = input
  return { user, secret, mutualUser, mutualSecret }
}

/** RFC 7143 §9.2.1: no secret may serve both directions. Throws ERR_CHAP_SECRET. */
export function checkSecretsDiffer(records: readonly ChapRecord[]): void {
  const proofs = new Set(records.map(record => record.secret))
  if (records.some(record => record.mutualSecret !== undefined && proofs.has(record.mutualSecret))) {
    throw new HoldfastError(
      'ERR_CHAP_SECRET',
      "the target's secret must differ from the initiators': otherwise an initiator could answer for the target",
    )
  }
}

/** All CHAP records of a target, with one of them replaced. */
export function withChap(target: TargetValue, initiator: string | null, chap: ChapRecord): TargetValue {
  const changed =
    initiator === null
      ? { ...target, chap }
      : { ...target, chapByInitiator: { ...target.chapByInitiator, [initiator]: chap } }
  const records = Object.values(changed.chapByInitiator)
  checkSecretsDiffer(changed.chap === null ? records : [...records, changed.chap])
  return changed
}

export function policyOf(chap: ChapRecord): ChapPolicy {
  const { user, secret, mutualUser, mutualSecret } = chap
  const mutual =
    mutualUser === undefined || mutualSecret === undefined
      ? {}
      : { mutual: { user: mutualUser, secret: Buffer.from(mutualSecret) } }
  return { user, secret: Buffer.from(secret), ...mutual }
}
