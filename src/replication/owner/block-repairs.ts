import { BlockStatus } from '../../block/block-status.ts'
import { RANGE_BYTES } from '../../control/layout.ts'
import { BLOCK_BYTES } from '../../store/layout.ts'
import type { OperationQueue } from '../../volume/operation-queue.ts'
import type { Member } from './member.ts'
import type { EpochMemberPort } from './member-port.ts'
import { SpanHold } from './span-hold.ts'

const REPAIRS_WAITING_MAX = 1_024

export interface BlockRepairsOptions {
  readonly queue: OperationQueue
  readonly members: (range: number) => readonly EpochMemberPort[]
  /** What is suspect is locked from then on until it has been reconciled. */
  readonly isServed: (range: number) => boolean
  readonly port: (member: Member) => EpochMemberPort
  readonly repaired: () => void
}

/** Overwrites blocks that fail their checksum on one member by what another has, under their locks. */
export class BlockRepairs {
  readonly #options: BlockRepairsOptions
  readonly #waiting = new Set<string>()

  constructor(options: BlockRepairsOptions) {
    this.#options = options
  }

  /**
   * Once for each bad block at a time; beyond a bound none, since the next read finds it bad again. Nor where a member that
   * lost what it had not flushed could be asked: the next scrub finds it again.
   */
  ask(member: Member, offsetBytes: number): void {
    if (!this.#options.isServed(Math.floor(offsetBytes / RANGE_BYTES))) return
    const block = Math.floor(offsetBytes / BLOCK_BYTES) * BLOCK_BYTES
    const key = `${member.peerNumber} ${block}`
    if (this.#waiting.has(key) || this.#waiting.size >= REPAIRS_WAITING_MAX) return
    this.#waiting.add(key)
    void this.#repair(member, block).finally(() => this.#waiting.delete(key))
  }

  async #repair(member: Member, block: number): Promise<void> {
    const { queue, members, port, repaired } = this.#options
    const range = Math.floor(block / RANGE_BYTES)
    const hold = new SpanHold(queue, block, block + BLOCK_BYTES)
    const buffer = Buffer.allocUnsafe(BLOCK_BYTES)
    try {
      await hold.begun
      for (const source of members(range)) {
        if (source.peerNumber === member.peerNumber) continue
        if ((await source.read(block, BLOCK_BYTES, buffer, 0)).status !== BlockStatus.ok) continue
        // One that has left meanwhile may have been freed, and answers zeroes.
        if (!members(range).some(({ peerNumber }) => peerNumber === source.peerNumber)) continue
        await port(member).repair(block, BLOCK_BYTES, buffer, 0)
        repaired()
        return
      }
    } catch {
      // The next read that finds it bad asks again.
    } finally {
      hold.release()
    }
  }
}
