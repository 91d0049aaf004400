import type { ConnectionPhase, SessionLink } from './connection-phase.ts'
import type { LoginNegotiation } from './login/login-negotiation.ts'
import type { LoginOutcome, LoginReply, LoginStep } from './login/login-outcome.ts'
import type { Session } from './session.ts'
import { opcodeOf } from './wire/bhs.ts'
import { decodeLoginRequest, encodeLoginResponse, type LoginRequestFields } from './wire/login.ts'
import { LoginStatus } from './wire/login-status.ts'
import { Opcode } from './wire/opcodes.ts'

/** Gives a login that got through its session, now or once its predecessor is gone; or says why not. */
export type Admission = (outcome: LoginOutcome, decided: (admitted: Session | LoginStatus) => void) => void

type RefusedStep = Extract<LoginStep, { readonly next: 'refused' }>

/** A connection before full feature phase: login requests and nothing else, within a time limit. RFC 7143 §6.3. */
export class LoginPhase implements ConnectionPhase {
  receiving = true
  readonly isWaitingForDisk = false
  readonly #link: SessionLink
  readonly #negotiation: LoginNegotiation
  readonly #admit: Admission
  readonly #isAbsent: (targetName: string) => Promise<boolean>
  readonly #enter: (session: Session) => void
  readonly #deadlineMs: number
  #isGone = false

  constructor(
    link: SessionLink,
    negotiation: LoginNegotiation,
    admit: Admission,
    isAbsent: (targetName: string) => Promise<boolean>,
    enter: (session: Session) => void,
    deadlineMs: number,
  ) {
    this.#link = link
    this.#negotiation = negotiation
    this.#admit = admit
    this.#isAbsent = isAbsent
    this.#enter = enter
    this.#deadlineMs = deadlineMs
  }

  pduReceived(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): void {
    if (opcodeOf(pdu, at) !== Opcode.loginRequest) {
      this.#link.close('notLoggedIn')
      return
    }
    const request = decodeLoginRequest(pdu, at)
    const step = this.#negotiation.receive(request, data.subarray(dataAt, dataAt + dataLength))
    switch (step.next) {
      case 'answer':
        this.#send(step.reply)
        return
      case 'established':
        this.#establish(request, step.reply, step.outcome)
        return
      case 'refused':
        if (step.status === LoginStatus.notFound) void this.#refuseAsAbsent(request, step)
        else this.#sendRefusal(step)
        return
      default:
        this.#link.close(step.fault)
    }
  }

  placePayload(): boolean {
    return false
  }

  dataDigestFailed(): void {
    this.#link.close('dataDigestDuringLogin')
  }

  outputTaken(): void {}

  flushed(): void {}

  tick(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.#link.close('loginTimeout')
  }

  connectionClosed(): void {
    this.#isGone = true
  }

  #establish(request: LoginRequestFields, reply: LoginReply, outcome: LoginOutcome): void {
    this.receiving = false
    this.#admit(outcome, admitted => {
      if (typeof admitted === 'number') this.#refuse(request, admitted)
      else this.#begin(admitted, reply)
    })
  }

  /** An initiator gives up for good when it hears that there is no such target: only where that is certain. */
  async #refuseAsAbsent(request: LoginRequestFields, step: RefusedStep): Promise<void> {
    this.receiving = false
    const { targetName } = this.#negotiation
    if (targetName === null || (await this.#isAbsent(targetName))) {
      if (!this.#isGone) this.#sendRefusal(step)
    } else this.#refuse(request, LoginStatus.serviceUnavailable)
  }

  #refuse(request: LoginRequestFields, status: LoginStatus): void {
    if (this.#isGone) return
    const step = this.#negotiation.refuse(request, status, `login${status.toString(16).padStart(4, '0')}`)
    if (step.next === 'refused') this.#send(step.reply)
    this.#link.closeWhenSent('loginRefused')
  }

  #sendRefusal({ reply, fault }: RefusedStep): void {
    this.#send(reply)
    this.#link.closeWhenSent(fault)
  }

  #begin(session: Session, reply: LoginReply): void {
    if (this.#isGone) {
      session.connectionClosed('closedDuringLogin')
      return
    }
    this.#send({ header: { ...reply.header, tsih: session.tsih }, data: reply.data })
    // Digests and our real segment limit hold from the first PDU of full feature phase on. RFC 7143 §13.1.
    const { output, receiver } = this.#link
    const { parameters } = session
    output.headerDigest = parameters.headerDigest
    output.dataDigest = parameters.dataDigest
    receiver.headerDigest = parameters.headerDigest
    receiver.dataDigest = parameters.dataDigest
    receiver.dataSegmentBytesMax = parameters.targetMaxRecvDataSegmentLength
    this.#enter(session)
  }

  #send(reply: LoginReply): void {
    const { output } = this.#link
    const at = output.begin(reply.data.length)
    encodeLoginResponse(output.slab, at, reply.header, reply.data.length)
    reply.data.copy(output.slab, output.dataAt(at))
    output.end(at)
    this.#link.flushSoon()
  }
}
