import { TEXT_SEGMENT_BYTES_MAX } from '../limits.ts'
import type { PortalContact, TargetDirectory } from '../target-directory.ts'
import { ContinuedText } from '../text/continued-text.ts'
import { encodeKeyValues, type KeyValue, parseKeyValues } from '../text/key-value.ts'
import { NOT_UNDERSTOOD, REJECT } from '../text/values.ts'
import { RESERVED_TAG } from '../wire/opcodes.ts'
import { isRejection, type PduRejection, RejectReason, rejection } from '../wire/rejection.ts'
import { serialAdd } from '../wire/serial-number.ts'
import type { TextRequestFields } from '../wire/text.ts'
import { IDENTITY_KEYS } from './login-identity.ts'
import type { LoginOutcome } from './login-outcome.ts'
import { ANSWERS, declareInitiatorMaxRecv, MAX_RECV_KEY } from './negotiate-key.ts'
import { OPERATIONAL_KEYS, TARGET_ONLY_KEYS } from './operational-keys.ts'
import { SECURITY_KEYS } from './security-stage.ts'
import { answerSendTargets, SEND_TARGETS } from './send-targets.ts'

export interface TextReply {
  readonly final: boolean
  readonly continued: boolean
  /** RESERVED_TAG when the exchange ends here. */
  readonly ttt: number
  readonly data: Buffer
}

export type TextStep =
  | { readonly next: 'answer'; readonly reply: TextReply }
  /** Answer with a Reject PDU; the exchange is over and nothing was changed by this request. */
  | { readonly next: 'reject'; readonly rejection: PduRejection }

const NOTHING = Buffer.alloc(0)
const STRANGE_TAG = rejection(RejectReason.protocolError, 'Text Request for an exchange that is not open')
const UNWANTED_TEXT = rejection(RejectReason.protocolError, 'Text Request with text while ours goes on')
const REPEATED = rejection(RejectReason.protocolError, 'text key was sent twice')

/** Text requests in full feature phase: SendTargets and the keys that may change there. RFC 7143 §6.4. */
export class TextExchange {
  readonly #outcome: LoginOutcome
  readonly #directory: TargetDirectory
  readonly #contact: PortalContact
  #request = new ContinuedText()
  /** What of our answer is still to be sent. */
  #answer: Buffer = NOTHING
  #openTag = RESERVED_TAG
  #lastTag = 0

  /** A new MaxRecvDataSegmentLength of the initiator is put into `outcome.parameters`. */
  constructor(outcome: LoginOutcome, directory: TargetDirectory, contact: PortalContact) {
    this.#outcome = outcome
    this.#directory = directory
    this.#contact = contact
  }

  /** `data` is the data segment without padding; it is read during the call alone. */
  receive(request: TextRequestFields, data: Buffer): TextStep {
    if (request.ttt === RESERVED_TAG) this.#close()
    else if (request.ttt !== this.#openTag) return this.#reject(STRANGE_TAG)
    if (this.#answer.length > 0) {
      return data.length > 0 ? this.#reject(UNWANTED_TEXT) : this.#sendMore(request.final)
    }
    const overflow = this.#request.append(data)
    if (overflow !== null) return this.#reject(overflow)
    if (request.continued) return this.#sendMore(false)
    const pairs = parseKeyValues(this.#request.take())
    if (isRejection(pairs)) return this.#reject(pairs)
    if (new Set(pairs.map(({ key }) => key)).size < pairs.length) return this.#reject(REPEATED)
    this.#answer = encodeKeyValues(pairs.flatMap(pair => this.#answerKey(pair)))
    return this.#sendMore(request.final)
  }

  #answerKey({ key, value }: KeyValue): readonly KeyValue[] {
    if (key === SEND_TARGETS) return answerSendTargets(value, this.#outcome, this.#directory, this.#contact)
    if (key === 'InitiatorAlias' || ANSWERS.has(value)) return []
    if (key === MAX_RECV_KEY && declareInitiatorMaxRecv(value, this.#outcome.parameters)) return []
    return [{ key, value: isKnown(key) ? REJECT : NOT_UNDERSTOOD }]
  }

  /** The next piece of the answer, as much as the initiator takes in one PDU. */
  #sendMore(final: boolean): TextStep {
    const room = Math.min(this.#outcome.parameters.initiatorMaxRecvDataSegmentLength, TEXT_SEGMENT_BYTES_MAX)
    const data = this.#answer.subarray(0, room)
    this.#answer = this.#answer.subarray(room)
    const continued = this.#answer.length > 0
    const over = final && !continued
    if (over) this.#close()
    else if (this.#openTag === RESERVED_TAG) this.#openTag = this.#newTag()
    return { next: 'answer', reply: { final: over, continued, ttt: this.#openTag, data } }
  }

  #newTag(): number {
    this.#lastTag = serialAdd(this.#lastTag, 1)
    if (this.#lastTag === RESERVED_TAG) this.#lastTag = 0
    return this.#lastTag
  }

  #close(): void {
    this.#request = new ContinuedText()
    this.#answer = NOTHING
    this.#openTag = RESERVED_TAG
  }

  #reject(fault: PduRejection): TextStep {
    this.#close()
    return { next: 'reject', rejection: fault }
  }
}

/** Keys that have their time during login alone: in full feature phase they are refused. */
function isKnown(key: string): boolean {
  return (
    key === MAX_RECV_KEY ||
    OPERATIONAL_KEYS.has(key) ||
    IDENTITY_KEYS.has(key) ||
    TARGET_ONLY_KEYS.has(key) ||
    SECURITY_KEYS.has(key)
  )
}
