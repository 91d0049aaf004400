import { TextExchange } from './login/text-exchange.ts'
import type { Session } from './session.ts'
import { SLAB_SEGMENT_BYTES_MAX } from './transmit-slab.ts'
import { AsyncEvent, encodeAsyncMessage } from './wire/async-message.ts'
import { decodeLogoutRequest, encodeLogoutResponse, LogoutReason, LogoutResult } from './wire/logout.ts'
import { blankNopIn, blankNopOut, decodeNopOut, encodeNopIn } from './wire/nop.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'
import { isRejection, type PduRejection } from './wire/rejection.ts'
import { decodeTextRequest, encodeTextResponse } from './wire/text.ts'

/** What an initiator asks of the session itself: NOP-Out, Text, Logout; and what we tell it unasked. */
export class SessionRequests {
  readonly #session: Session
  readonly #texts: TextExchange
  readonly #nopOut = blankNopOut()

  constructor(session: Session) {
    this.#session = session
    this.#texts = new TextExchange(session.outcome, session.directory, session.contact)
  }

  /** RFC 7143 §11.18: data comes back as it came, as far as the initiator takes it. */
  nopOut(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): PduRejection | null {
    const nopOut = this.#nopOut
    const refusal = decodeNopOut(pdu, at, nopOut)
    if (refusal !== null) return refusal
    // Without a task tag it answers our ping, or tells ExpStatSN: there is nothing to reply to.
    if (nopOut.itt === RESERVED_TAG) return null
    const session = this.#session
    const { output } = session.link
    const { initiatorMaxRecvDataSegmentLength } = session.parameters
    const length = Math.min(dataLength, initiatorMaxRecvDataSegmentLength, SLAB_SEGMENT_BYTES_MAX)
    const nopIn = blankNopIn()
    nopIn.itt = nopOut.itt
    nopIn.lunHigh = nopOut.lunHigh
    nopIn.lunLow = nopOut.lunLow
    session.stamp(nopIn)
    const replyAt = output.begin(length)
    encodeNopIn(output.slab, replyAt, nopIn, length)
    data.copy(output.slab, output.dataAt(replyAt), dataAt, dataAt + length)
    output.end(replyAt)
    session.link.flushSoon()
    return null
  }

  text(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): PduRejection | null {
    const request = decodeTextRequest(pdu, at)
    if (isRejection(request)) return request
    const step = this.#texts.receive(request, data.subarray(dataAt, dataAt + dataLength))
    if (step.next === 'reject') return step.rejection
    const session = this.#session
    const { output } = session.link
    const { final, continued, ttt, data: reply } = step.reply
    const { itt, lunHigh, lunLow } = request
    const fields = { final, continued, ttt, itt, lunHigh, lunLow, statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
    session.stamp(fields)
    const replyAt = output.begin(reply.length)
    encodeTextResponse(output.slab, replyAt, fields, reply.length)
    reply.copy(output.slab, output.dataAt(replyAt))
    output.end(replyAt)
    session.link.flushSoon()
    return null
  }

  /** RFC 7143 §11.14: tasks end first, then comes the answer, then the connection closes. */
  logout(pdu: Buffer, at: number): PduRejection | null {
    const request = decodeLogoutRequest(pdu, at)
    if (isRejection(request)) return request
    const session = this.#session
    if (request.reason === LogoutReason.removeForRecovery) {
      this.#respondToLogout(request.itt, LogoutResult.recoveryNotSupported)
    } else if (request.reason === LogoutReason.closeConnection && request.cid !== session.outcome.cid) {
      this.#respondToLogout(request.itt, LogoutResult.cidNotFound)
    } else {
      session.endTasks(() => {
        this.#respondToLogout(request.itt, LogoutResult.closed)
        session.link.closeWhenSent('logout')
      })
    }
    return null
  }

  /** Asynchronous Message, RFC 7143 §11.9: asks for a logout within `seconds`, or tells that the session ends. */
  tell(event: typeof AsyncEvent.logoutRequested | typeof AsyncEvent.sessionDropped, seconds: number): void {
    const session = this.#session
    const { output } = session.link
    const isRequest = event === AsyncEvent.logoutRequested
    const fields = {
      ...{ event, vendorCode: 0, lunHigh: 0, lunLow: 0, statSn: 0, expCmdSn: 0, maxCmdSn: 0 },
      ...{ parameter1: 0, parameter2: 0, parameter3: isRequest ? seconds : 0 },
    }
    session.stamp(fields)
    const at = output.begin(0)
    encodeAsyncMessage(output.slab, at, fields, 0)
    output.end(at)
    session.link.flushSoon()
  }

  #respondToLogout(itt: number, response: number): void {
    const session = this.#session
    if (session.ended) return
    const { output } = session.link
    const { defaultTime2Wait, defaultTime2Retain } = session.parameters
    const fields = {
      ...{ response, itt, time2Wait: defaultTime2Wait, time2Retain: defaultTime2Retain },
      ...{ statSn: 0, expCmdSn: 0, maxCmdSn: 0 },
    }
    session.stamp(fields)
    const at = output.begin(0)
    encodeLogoutResponse(output.slab, at, fields)
    output.end(at)
    session.link.flushSoon()
  }
}
