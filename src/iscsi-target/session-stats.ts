import { IoStats } from '../lib/io-stats.ts'
import type { TaskSlot } from './task-slot.ts'

/** Ended commands whose latency is added at the next flush, with one look at the clock for all. */
const ENDED_MAX = 256

/** Counters of one session, without an allocation or a look at the clock per command. */
export class SessionStats {
  readonly io = new IoStats()
  readonly #startedAtUs = new Float64Array(ENDED_MAX)
  #ended = 0

  commandBegun(): void {
    this.io.inFlight++
  }

  commandEnded(slot: TaskSlot): void {
    const { io } = this
    io.inFlight--
    if (slot.aborted || slot.status !== 0) io.errors++
    if (slot.reads) {
      io.reads++
      io.readBytes += slot.dataInSent
    } else if (slot.writes) {
      io.writes++
      io.writtenBytes += slot.dataOutReceived
    } else {
      io.others++
    }
    if (this.#ended < ENDED_MAX) this.#startedAtUs[this.#ended++] = slot.startedAtUs
  }

  /** Commands have ended whose latency is not counted yet. */
  get isUnsettled(): boolean {
    return this.#ended > 0
  }

  /** Output was sent at `nowUs`: the commands that ended since the last time took until now. */
  settle(nowUs: number): void {
    for (let i = 0; i < this.#ended; i++) this.io.addLatency(nowUs - this.#startedAtUs[i]!)
    this.#ended = 0
  }
}
