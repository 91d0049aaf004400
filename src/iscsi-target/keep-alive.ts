import type { Session } from './session.ts'
import { blankNopIn, encodeNopIn } from './wire/nop.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'

/**
 * Asks a silent initiator whether it is there (NOP-In) and ends the session of one that is not, or that takes
 * no output. RFC 7143 §11.19.
 */
export class KeepAlive {
  readonly #session: Session
  #pingedAtMs: number | null = null
  #tag = 0

  constructor(session: Session) {
    this.#session = session
  }

  tick(nowMs: number): void {
    const { link, limits } = this.#session
    if (limits.pingIdleMs === 0) return
    const isStuck = link.output.pendingBytes > 0
    if (isStuck && nowMs - link.takenAtMs >= limits.pingIdleMs + limits.pingTimeoutMs) {
      link.close('outputNotTaken')
    } else if (this.#pingedAtMs !== null && link.heardAtMs < this.#pingedAtMs) {
      // While its output is stuck we do not read its socket: silence then proves nothing.
      if (!isStuck && nowMs - this.#pingedAtMs >= limits.pingTimeoutMs) link.close('pingTimeout')
    } else {
      this.#pingedAtMs = null
      if (!isStuck && nowMs - link.heardAtMs >= limits.pingIdleMs) this.#ping(nowMs)
    }
  }

  #ping(nowMs: number): void {
    const { output } = this.#session.link
    this.#pingedAtMs = nowMs
    const nopIn = blankNopIn()
    nopIn.itt = RESERVED_TAG
    nopIn.ttt = this.#tag
    this.#tag = (this.#tag + 1) & 0x7fffffff
    this.#session.stampNext(nopIn)
    const at = output.begin(0)
    encodeNopIn(output.slab, at, nopIn, 0)
    output.end(at)
    this.#session.link.flushSoon()
  }
}
