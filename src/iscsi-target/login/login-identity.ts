import type { ChapPolicy, PortalContact, TargetDirectory } from '../target-directory.ts'
import { VALUE_BYTES_MAX } from '../text/key-value.ts'
import type { LoginRequestFields } from '../wire/login.ts'
import { LoginStatus } from '../wire/login-status.ts'
import type { LoginIdentity, SessionType } from './login-outcome.ts'

/** Who logs in, to what: the keys of the first login request. RFC 7143 §6.3.1, §13.4 to §13.6, §13.21. */

/** RFC 7143 §4.2.7.1. */
const NAME_BYTES_MAX = 223
/** No control characters, no spaces. */
const NAME = /^[!-~\u0080-\uffff]+$/

/** Declared in the first request; stock initiators say them again in later ones. */
export const IDENTITY_KEYS: ReadonlySet<string> = new Set([
  'InitiatorName',
  'InitiatorAlias',
  'TargetName',
  'SessionType',
])

export interface Refusal {
  readonly status: LoginStatus
  readonly fault: string
  /** With targetMovedTemporarily: where to, without a portal group tag. RFC 7143 §13.8. */
  readonly targetAddress?: string
}

export interface Identified {
  readonly identity: LoginIdentity
  readonly chap: ChapPolicy | null
}

const SESSION_TYPES: ReadonlyMap<string, SessionType> = new Map([
  ['Normal', 'normal'],
  ['Discovery', 'discovery'],
])

const MISSING_INITIATOR = { status: LoginStatus.missingParameter, fault: 'InitiatorName is missing' }
const MISSING_TARGET = { status: LoginStatus.missingParameter, fault: 'TargetName is missing' }
const LONG_ALIAS = { status: LoginStatus.initiatorError, fault: 'InitiatorAlias is longer than 255 bytes' }
const BAD_NAME = { status: LoginStatus.initiatorError, fault: 'an iSCSI name is malformed' }
const BAD_SESSION_TYPE = { status: LoginStatus.sessionTypeNotSupported, fault: 'unknown SessionType' }

/** Why a target that was looked up may not be logged in to. */
export const LOOK_UP_REFUSALS = {
  no: { status: LoginStatus.notFound, fault: 'no such target' },
  forbidden: { status: LoginStatus.authorizationFailure, fault: 'initiator is not in the ACL of the target' },
  unavailable: { status: LoginStatus.serviceUnavailable, fault: 'target is not available at present' },
  moved: { status: LoginStatus.targetMovedTemporarily, fault: 'target is served at another portal' },
} as const

export function identify(
  keys: ReadonlyMap<string, string>,
  { isid, tsih, cid }: LoginRequestFields,
  directory: TargetDirectory,
  contact: PortalContact,
): Identified | Refusal {
  const initiatorName = keys.get('InitiatorName')
  const targetName = keys.get('TargetName')
  const sessionType = SESSION_TYPES.get(keys.get('SessionType') ?? 'Normal')
  const initiatorAlias = keys.get('InitiatorAlias') ?? null
  if (initiatorName === undefined) return MISSING_INITIATOR
  if (!isName(initiatorName) || (targetName !== undefined && !isName(targetName))) return BAD_NAME
  if (sessionType === undefined) return BAD_SESSION_TYPE
  if (initiatorAlias !== null && Buffer.byteLength(initiatorAlias) > VALUE_BYTES_MAX) return LONG_ALIAS
  const common = { sessionType, initiatorName, initiatorAlias, isid, tsih, cid }
  if (sessionType === 'discovery') {
    return { identity: { ...common, target: null }, chap: directory.discoveryChap() }
  }
  if (targetName === undefined) return MISSING_TARGET
  const found = directory.lookUp(targetName, initiatorName, contact)
  if (found.found === 'moved') return { ...LOOK_UP_REFUSALS.moved, targetAddress: found.address }
  if (found.found !== 'yes') return LOOK_UP_REFUSALS[found.found]
  return { identity: { ...common, target: found.target }, chap: found.chap }
}

function isName(name: string): boolean {
  return Buffer.byteLength(name) <= NAME_BYTES_MAX && NAME.test(name)
}
