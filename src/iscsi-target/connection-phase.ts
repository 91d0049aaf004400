import type { PduReceiver, PduSink } from './pdu-receiver.ts'
import type { Transmitter } from './transmit-slab.ts'

/** A connection as its phase (login, then a session) sees it. */
export interface SessionLink {
  readonly output: Transmitter
  /** Others come first now: flushed() follows by itself, and input where it is wanted. */
  turnIsOver(): boolean
  readonly receiver: PduReceiver
  /** When anything was last received, on the clock. */
  readonly heardAtMs: number
  /** When the socket last took output; meaningful while some is pending. */
  readonly takenAtMs: number
  readonly localAddress: string
  readonly remoteAddress: string
  /** Sends what was gathered: at the end of the pass, or of the tick outside of one. */
  flushSoon(): void
  /** Reads on after `receiving` went from false to true outside of a pass. */
  receiveAgain(): void
  /** Now; what was not sent is lost. `reason` is counted and logged. */
  close(reason: string): void
  /** After what was gathered has been sent. */
  closeWhenSent(reason: string): void
}

/** What a connection does with what it receives: the login phase, then the session. */
export interface ConnectionPhase extends Omit<PduSink, 'streamFailed'> {
  /** The next answer comes from a thread that waits for the disk. */
  readonly isWaitingForDisk: boolean
  /** The socket took output. */
  outputTaken(): void
  /** What a pass gathered was handed to the socket. */
  flushed(): void
  /** Called now and then: time limits. */
  tick(nowMs: number): void
  /** The connection is gone. */
  connectionClosed(reason: string): void
}
