import type { KeyValue } from '../text/key-value.ts'
import { VALUE_BYTES_MAX } from '../text/key-value.ts'
import {
  formatBoolean,
  IRRELEVANT,
  NOT_UNDERSTOOD,
  parseBoolean,
  parseList,
  parseNumber,
  REJECT,
} from '../text/values.ts'
import type { NegotiatedParameters, SessionType } from './login-outcome.ts'
import type { DigestName, LoginParameters } from './login-parameters.ts'
import { type KeyRule, OPERATIONAL_KEYS, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN } from './operational-keys.ts'

export interface KeyNegotiation {
  readonly sessionType: SessionType
  readonly ours: LoginParameters
  /** Changed by each key that is agreed on. */
  readonly agreed: NegotiatedParameters
}

/** Words that answer an offer. An initiator that sends one is not offering anything. RFC 7143 §6.2. */
export const ANSWERS: ReadonlySet<string> = new Set([REJECT, IRRELEVANT, NOT_UNDERSTOOD])

export const MAX_RECV_KEY = 'MaxRecvDataSegmentLength'

/**
 * Our answer to one operational key, or null where the standard wants none. A value that the key does not
 * admit is answered Reject and changes nothing. RFC 7143 §6.2.
 */
export function negotiateKey({ key, value }: KeyValue, negotiation: KeyNegotiation): string | null {
  if (ANSWERS.has(value)) return null
  const rule = OPERATIONAL_KEYS.get(key)
  if (rule === undefined) return NOT_UNDERSTOOD
  if (rule.irrelevantInDiscovery && negotiation.sessionType === 'discovery') return IRRELEVANT
  if (Buffer.byteLength(value) > VALUE_BYTES_MAX) return REJECT
  return answerByRule(rule, value, negotiation) ?? REJECT
}

function answerByRule(rule: KeyRule, value: string, { ours, agreed }: KeyNegotiation): string | null {
  switch (rule.rule) {
    case 'minimum':
    case 'maximum': {
      const offered = numberWithin(value, rule.from, rule.to)
      if (offered === null) return null
      const bound = Math.min(rule.ours(ours), ceilingOf(rule.parameter, agreed))
      const result = rule.rule === 'minimum' ? Math.min(offered, bound) : Math.max(offered, bound)
      agreed[rule.parameter] = result
      return String(result)
    }
    case 'and':
    case 'or': {
      const offered = parseBoolean(value)
      if (offered === null) return null
      const mine = rule.ours(ours)
      agreed[rule.parameter] = rule.rule === 'and' ? offered && mine : offered || mine
      return formatBoolean(agreed[rule.parameter])
    }
    case 'digest': {
      const chosen = firstSupported(value, rule.ours(ours))
      if (chosen !== null) agreed[rule.parameter] = (chosen as DigestName) === 'CRC32C'
      return chosen
    }
    case 'list':
      return firstSupported(value, rule.supported)
    case 'fixedMinimum': {
      const offered = numberWithin(value, rule.from, rule.to)
      return offered === null ? null : String(Math.min(offered, rule.ours))
    }
    case 'obsoleteBoolean':
      return parseBoolean(value) === false ? value : null
    case 'obsoleteRange':
      return null
  }
}

/** FirstBurstLength must not pass MaxBurstLength. RFC 7143 §13.14. */
function ceilingOf(parameter: string, agreed: NegotiatedParameters): number {
  return parameter === 'firstBurstLength' ? agreed.maxBurstLength : Number.POSITIVE_INFINITY
}

function numberWithin(value: string, from: number, to: number): number | null {
  const number = parseNumber(value)
  return number !== null && number >= from && number <= to ? number : null
}

/** The first of the initiator's list wins, by its order of preference. RFC 7143 §6.2.1. */
function firstSupported(value: string, supported: readonly string[]): string | null {
  return parseList(value).find(offered => supported.includes(offered)) ?? null
}

/** What the initiator declares for itself; false for a value out of range. RFC 7143 §13.12. */
export function declareInitiatorMaxRecv(value: string, agreed: NegotiatedParameters): boolean {
  const declared = numberWithin(value, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
  if (declared !== null) agreed.initiatorMaxRecvDataSegmentLength = declared
  return declared !== null
}
