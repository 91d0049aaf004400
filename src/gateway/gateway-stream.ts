import type { ClientIdentity } from '../volume/client-identity.ts'
import type { StreamKey } from './client-key.ts'

export const StreamState = {
  /** No owner has numbered it, or it has to be named to a new one. */
  idle: 0,
  /** An owner is being asked. */
  asking: 1,
  /** Numbered after a takeover: only what was in doubt is sent. */
  settling: 2,
  open: 3,
  /** Another gateway has the client's writes now, or it was named too late. PROTOCOL rule 17. */
  dead: 4,
} as const
export type StreamState = (typeof StreamState)[keyof typeof StreamState]

/** The writes of one initiator, or of all of NBD, to one volume as they come by this gateway. */
export class GatewayStream {
  readonly key: StreamKey
  /** One of those whose stream it is. */
  readonly client: ClientIdentity
  state: StreamState = StreamState.idle
  /** Given by the owner of `epoch`; 0: by none yet. */
  number = 0
  epoch = 0
  /** What was in doubt when that owner took over has been repeated. */
  hasSettled = true
  /** Writes that its clients were told of, by whatever session, and how many of them a flush by any has covered. */
  writes = 0
  flushedWrites = 0
  #sequence = 0

  constructor(key: StreamKey, client: ClientIdentity) {
    this.key = key
    this.client = client
  }

  /** Lost writes would concern its clients. What an initiator writes by other gateways nobody knows here. PROTOCOL rule 16. */
  get hasUnflushed(): boolean {
    const writesElsewhere = this.number === 0 && this.client.protocol === 'iscsi'
    return writesElsewhere || this.writes > this.flushedWrites
  }

  /** From now on its clients write by this gateway alone; what they wrote by another may not be flushed. */
  registered(number: number, epoch: number): void {
    this.numbered(number, epoch)
    this.writes++
  }

  numbered(number: number, epoch: number): void {
    this.number = number
    this.epoch = epoch
    this.#sequence = 0
  }

  nextSequence(): number {
    return ++this.#sequence
  }
}
