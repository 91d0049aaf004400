import type { PeerStatus } from '../peer-network.ts'
import type { JoinGate } from '../resync/resync-ports.ts'
import type { Member } from './member.ts'
import type { OperationSlot } from './operation-slot.ts'
import type { ReservedRegions } from './reserved-regions.ts'
import type { SetClass } from './set-class.ts'

/** What the slots of an epoch share: the write path around them. */
export interface SlotOwner {
  readonly volumeUuid: string
  readonly epoch: number
  readonly setVersion: number
  readonly watermark: number
  readonly ended: boolean
  readonly reserved: ReservedRegions
  readonly gates: readonly { readonly member: Member; readonly gate: JoinGate }[]
  /** Members of any range, for flushes. */
  readonly everybody: readonly Member[]
  readonly flushesWait: boolean
  nowMs(): number
  /** Something within one range is changed that the own brick is not in. */
  wroteElsewhere(offsetBytes: number, lengthBytes: number): void
  classOf(range: number): SetClass
  /** Of operations that change something; 0: wait. */
  nextNumber(): number
  numberEnded(number: number): void
  /** resume() follows when something has changed, or finish() with unavailable after a bound. */
  park(slot: OperationSlot): void
  /** The member refused or failed: it is to leave, where M remain. */
  memberFailed(member: Member, status: PeerStatus): void
  /** The bad block here is to be overwritten by what another member has. */
  repair(member: Member, offsetBytes: number): void
  /** Some member knows a higher epoch. */
  superseded(): void
  slotDone(slot: OperationSlot): void
}
