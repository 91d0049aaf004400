import type { ScsiTarget } from '../../scsi/scsi-target.ts'
import type { PortalContact, TargetDirectory } from '../target-directory.ts'
import type { LoginResponseFields } from '../wire/login.ts'
import type { LoginStatus } from '../wire/login-status.ts'
import type { LoginParameters } from './login-parameters.ts'

/** What both sides agreed on, in effect from full feature phase on. RFC 7143 §13. */
export interface NegotiatedParameters {
  headerDigest: boolean
  dataDigest: boolean
  maxConnections: number
  initialR2T: boolean
  immediateData: boolean
  /** The most that the initiator takes in one PDU: bounds Data-In, text responses, NOP-In. */
  initiatorMaxRecvDataSegmentLength: number
  /** The most that we said we take: bounds everything that the initiator sends. */
  targetMaxRecvDataSegmentLength: number
  maxBurstLength: number
  /** Never above maxBurstLength. */
  firstBurstLength: number
  /** Seconds. */
  defaultTime2Wait: number
  defaultTime2Retain: number
  maxOutstandingR2T: number
  dataPduInOrder: boolean
  dataSequenceInOrder: boolean
  errorRecoveryLevel: number
}

export type SessionType = 'normal' | 'discovery'

/** Who wants in, known when the first request is complete. */
export interface LoginIdentity {
  readonly sessionType: SessionType
  readonly initiatorName: string
  readonly initiatorAlias: string | null
  /** Twelve lower-case hex digits. */
  readonly isid: string
  /** 0 asks for a new session (and takes the place of one with the same initiator, ISID and target). */
  readonly tsih: number
  readonly cid: number
  /** Null in a discovery session. */
  readonly target: ScsiTarget | null
}

export interface LoginOutcome extends LoginIdentity {
  readonly parameters: NegotiatedParameters
  /** User that the initiator proved to be; null without CHAP. */
  readonly chapUser: string | null
  /** See Nexus. */
  readonly proof: string | null
  /** StatSN of the next response after the final login response. */
  readonly nextStatSn: number
  /** ExpCmdSN of the session: login does not advance CmdSN. RFC 7143 §4.2.2.1. */
  readonly expCmdSn: number
}

/** What a negotiation asks of the world; answers come from memory. */
export interface LoginEnvironment {
  readonly directory: TargetDirectory
  readonly contact: PortalContact
  readonly parameters: LoginParameters
  /** Commands that MaxCmdSN allows in the responses. */
  readonly commandWindow: number
  /** CHAP challenges and identifiers. */
  randomBytes(lengthBytes: number): Buffer
  /**
   * May this login go on, as far as sessions are concerned? Asked once, before authentication, when the
   * initiator gave a TSIH: sessionDoesNotExist, tooManyConnections or success (connection reinstatement).
   */
  sessionStatus(identity: LoginIdentity): LoginStatus
}

/** A login response to send: header and text, at most LOGIN_DATA_SEGMENT_BYTES_MAX of it. */
export interface LoginReply {
  readonly header: LoginResponseFields
  readonly data: Buffer
}

export type LoginStep =
  /** Send and wait for the next request. */
  | { readonly next: 'answer'; readonly reply: LoginReply }
  /**
   * Full feature phase once the reply is sent. The session layer puts the new TSIH into `reply.header.tsih`,
   * or sends what `refuse()` makes instead.
   */
  | { readonly next: 'established'; readonly reply: LoginReply; readonly outcome: LoginOutcome }
  /** Send, then close. `fault` is for the log and the counter's label. */
  | {
      readonly next: 'refused'
      readonly reply: LoginReply
      readonly status: LoginStatus
      readonly fault: string
    }
  /** Close without an answer. */
  | { readonly next: 'close'; readonly fault: string }
