import type {
  EarnedChange,
  FencedJoiner,
  HeldBlocks,
  JoinGate,
  MemberPort,
  OutMember,
  ResyncOwner,
} from '../../../src/replication/resync/resync-ports.ts'
import { OperationQueue, type RangeEntry, RangeHold } from '../../../src/volume/operation-queue.ts'
import { BLOCK, type FakeBrick } from './fake-bricks.ts'

function entryOf(startBytes: number, endBytes: number, begin: () => void): RangeEntry {
  return {
    startBytes,
    endBytes,
    hold: RangeHold.write,
    waiting: false,
    nextEntry: null,
    previousEntry: null,
    begin,
  }
}

/** The owner of a volume of which each range lies on the same bricks: locks, members, gates, and a write path. */
export class FakeOwner implements ResyncOwner {
  readonly volumeUuid = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff'
  readonly epoch = 7
  sizeBytes = 64 * 1024 ** 2
  generation = 10
  ended = false
  inSync: FakeBrick[]
  readonly bricks: readonly FakeBrick[]
  outs: OutMember[] = []
  readonly changes: EarnedChange[] = []
  answerToChange = true
  /** Other changes of the sets, for which this one waits. */
  beforeChange: () => Promise<void> = () => Promise.resolve()
  joinerIsNew = false
  /** How long a write is on its way to a member. */
  onTheWay: () => Promise<void> = () => Promise.resolve()
  placed: (peer: number, range: number) => boolean = () => true
  readonly queue = new OperationQueue()
  readonly gates = new Map<number, JoinGate>()
  ranges = 1
  readonly #begun = new Set<Promise<unknown>>()

  constructor(bricks: readonly FakeBrick[], inSync: readonly FakeBrick[]) {
    this.bricks = bricks
    this.inSync = [...inSync]
  }

  isServed(): boolean {
    return true
  }

  outMembers(): readonly OutMember[] {
    return this.outs
  }

  async leftBehind(peerNumber: number): Promise<MemberPort | null> {
    return this.bricks.find(brick => brick.peerNumber === peerNumber) ?? null
  }

  isPlaced(peerNumber: number, range: number): boolean {
    return this.placed(peerNumber, range)
  }

  members(): readonly MemberPort[] {
    return this.inSync
  }

  async fence(peerNumber: number): Promise<FencedJoiner> {
    const port = this.bricks.find(one => one.peerNumber === peerNumber)!
    await port.turn()
    return { port, isNew: this.joinerIsNew }
  }

  setGate(peerNumber: number, gate: JoinGate | null): void {
    if (gate === null) this.gates.delete(peerNumber)
    else this.gates.set(peerNumber, gate)
  }

  async begunOperationsEnded(): Promise<void> {
    await Promise.allSettled(this.#begun)
  }

  hold(offsetBytes: number, lengthBytes: number): Promise<HeldBlocks> {
    return new Promise(resolve => {
      const entry = entryOf(offsetBytes, offsetBytes + lengthBytes, () => {
        resolve({ release: () => this.queue.leave(entry) })
      })
      this.queue.enter(entry)
    })
  }

  async change(change: EarnedChange, stillEarned: () => boolean = () => true): Promise<boolean> {
    await this.beforeChange()
    this.changes.push(change)
    if (!this.answerToChange || !stillEarned()) return false
    const joiner = this.bricks.find(({ peerNumber }) => peerNumber === change.joins)
    if (joiner !== undefined) this.inSync.push(joiner)
    this.inSync = this.inSync.filter(({ peerNumber }) => peerNumber !== change.leaves)
    this.outs = this.outs.filter(({ peerNumber }) => peerNumber !== change.joins)
    return true
  }

  /** A client's write, as ReplicatedExtents does it: the gates are asked once, with the blocks held. */
  write(block: number, count: number, value: number): Promise<void> {
    const running = this.#write(block, count, value)
    this.#begun.add(running)
    return running.finally(() => this.#begun.delete(running))
  }

  async #write(block: number, count: number, value: number): Promise<void> {
    const held = await this.hold(block * BLOCK, count * BLOCK)
    const gates = [...this.gates.values()].filter(gate => gate.wantsWrite(block * BLOCK, count * BLOCK))
    const members = [...this.inSync]
    const put = async (brick: FakeBrick) => {
      await this.onTheWay()
      await brick.turn()
      for (let at = block; at < block + count; at++) brick.put(at, value, this.generation)
    }
    await Promise.all([
      ...members.map(put),
      ...gates.map(async gate => {
        const brick = this.bricks.find(one => one.peerNumber === gate.peerNumber)!
        await put(brick).catch(() => gate.failed('the link is gone'))
      }),
    ])
    held.release()
  }
}
