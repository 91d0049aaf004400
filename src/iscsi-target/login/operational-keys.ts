import type { NegotiatedParameters } from './login-outcome.ts'
import type { LoginParameters } from './login-parameters.ts'

/** Keys of RFC 7143 §13 and the rule by which each is answered. */

type NumberParameter =
  | 'maxConnections'
  | 'maxBurstLength'
  | 'firstBurstLength'
  | 'defaultTime2Wait'
  | 'defaultTime2Retain'
  | 'maxOutstandingR2T'
  | 'errorRecoveryLevel'
type BooleanParameter = 'initialR2T' | 'immediateData' | 'dataPduInOrder' | 'dataSequenceInOrder'
type DigestParameter = 'headerDigest' | 'dataDigest'

interface InDiscovery {
  /** §13: "Irrelevant when: SessionType=Discovery". */
  readonly irrelevantInDiscovery: boolean
}

export type KeyRule =
  | (InDiscovery & {
      readonly rule: 'minimum' | 'maximum'
      readonly parameter: NumberParameter
      readonly from: number
      readonly to: number
      ours(parameters: LoginParameters): number
    })
  | (InDiscovery & {
      readonly rule: 'and' | 'or'
      readonly parameter: BooleanParameter
      ours(parameters: LoginParameters): boolean
    })
  | (InDiscovery & {
      readonly rule: 'digest'
      readonly parameter: DigestParameter
      ours(parameters: LoginParameters): readonly string[]
    })
  /** We have one fixed position, and nothing in the session depends on the answer. */
  | (InDiscovery & { readonly rule: 'list'; readonly supported: readonly string[] })
  | (InDiscovery & {
      readonly rule: 'fixedMinimum'
      readonly from: number
      readonly to: number
      readonly ours: number
    })
  /** Markers went with RFC 7143: "No" may be agreed to, anything else is refused. §13.25. */
  | (InDiscovery & { readonly rule: 'obsoleteBoolean' | 'obsoleteRange' })

const BYTES_MIN = 512
const BYTES_MAX = 2 ** 24 - 1
const HALF_WORD_MAX = 65535
const SECONDS_MAX = 3600
const ERROR_RECOVERY_LEVEL_MAX = 2
const PROTOCOL_LEVEL_MAX = 31
/** RFC 7143 itself, without the SAM additions of RFC 7144. §13.24. */
const PROTOCOL_LEVEL = 1

/** MaxRecvDataSegmentLength is declared by each side for itself. §13.12. */
export const SEGMENT_BYTES_MIN = BYTES_MIN
export const SEGMENT_BYTES_MAX = BYTES_MAX

const EVERYWHERE = { irrelevantInDiscovery: false }
const NORMAL_ONLY = { irrelevantInDiscovery: true }

function numeric(
  rule: 'minimum' | 'maximum',
  parameter: NumberParameter,
  [from, to]: readonly [from: number, to: number],
  scope: InDiscovery,
  ours: (parameters: LoginParameters) => number,
): KeyRule {
  return { ...scope, rule, parameter, from, to, ours }
}

function boolean(
  rule: 'and' | 'or',
  parameter: BooleanParameter,
  ours: (parameters: LoginParameters) => boolean,
): KeyRule {
  return { ...NORMAL_ONLY, rule, parameter, ours }
}

const COUNT = [1, HALF_WORD_MAX] as const
const BYTES = [BYTES_MIN, BYTES_MAX] as const
const SECONDS = [0, SECONDS_MAX] as const
const RECOVERY_LEVELS = [0, ERROR_RECOVERY_LEVEL_MAX] as const

export const OPERATIONAL_KEYS: ReadonlyMap<string, KeyRule> = new Map<string, KeyRule>([
  ['HeaderDigest', { ...EVERYWHERE, rule: 'digest', parameter: 'headerDigest', ours: p => p.headerDigests }],
  ['DataDigest', { ...EVERYWHERE, rule: 'digest', parameter: 'dataDigest', ours: p => p.dataDigests }],
  ['MaxConnections', numeric('minimum', 'maxConnections', COUNT, NORMAL_ONLY, () => 1)],
  ['InitialR2T', boolean('or', 'initialR2T', p => p.initialR2T)],
  ['ImmediateData', boolean('and', 'immediateData', p => p.immediateData)],
  ['MaxBurstLength', numeric('minimum', 'maxBurstLength', BYTES, NORMAL_ONLY, p => p.maxBurstLength)],
  ['FirstBurstLength', numeric('minimum', 'firstBurstLength', BYTES, NORMAL_ONLY, p => p.firstBurstLength)],
  ['DefaultTime2Wait', numeric('maximum', 'defaultTime2Wait', SECONDS, EVERYWHERE, p => p.defaultTime2Wait)],
  [
    'DefaultTime2Retain',
    numeric('minimum', 'defaultTime2Retain', SECONDS, EVERYWHERE, p => p.defaultTime2Retain),
  ],
  [
    'MaxOutstandingR2T',
    numeric('minimum', 'maxOutstandingR2T', COUNT, NORMAL_ONLY, p => p.maxOutstandingR2T),
  ],
  ['DataPDUInOrder', boolean('or', 'dataPduInOrder', () => true)],
  ['DataSequenceInOrder', boolean('or', 'dataSequenceInOrder', () => true)],
  ['ErrorRecoveryLevel', numeric('minimum', 'errorRecoveryLevel', RECOVERY_LEVELS, EVERYWHERE, () => 0)],
  ['TaskReporting', { ...NORMAL_ONLY, rule: 'list', supported: ['RFC3720'] }],
  [
    'iSCSIProtocolLevel',
    { ...NORMAL_ONLY, rule: 'fixedMinimum', from: 0, to: PROTOCOL_LEVEL_MAX, ours: PROTOCOL_LEVEL },
  ],
  ['OFMarker', { ...EVERYWHERE, rule: 'obsoleteBoolean' }],
  ['IFMarker', { ...EVERYWHERE, rule: 'obsoleteBoolean' }],
  ['OFMarkInt', { ...EVERYWHERE, rule: 'obsoleteRange' }],
  ['IFMarkInt', { ...EVERYWHERE, rule: 'obsoleteRange' }],
])

/** Keys that only a target may send; from an initiator they are a protocol error. §13. */
export const TARGET_ONLY_KEYS: ReadonlySet<string> = new Set([
  'TargetAlias',
  'TargetAddress',
  'TargetPortalGroupTag',
])

/** What holds for a key that nobody mentions. §13. */
export function defaultNegotiatedParameters(): NegotiatedParameters {
  return {
    headerDigest: false,
    dataDigest: false,
    maxConnections: 1,
    initialR2T: true,
    immediateData: true,
    initiatorMaxRecvDataSegmentLength: 8192,
    targetMaxRecvDataSegmentLength: 8192,
    maxBurstLength: 262144,
    firstBurstLength: 65536,
    defaultTime2Wait: 2,
    defaultTime2Retain: 20,
    maxOutstandingR2T: 1,
    dataPduInOrder: true,
    dataSequenceInOrder: true,
    errorRecoveryLevel: 0,
  }
}
