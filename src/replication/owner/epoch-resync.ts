import { BlockStatus } from '../../block/block-status.ts'
import { isInSync } from '../../control/layout.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { alignUp } from '../../volume/block-alignment.ts'
import type { FenceAnswer } from '../messages.ts'
import { PeerStatus } from '../peer-network.ts'
import type {
  EarnedChange,
  FencedJoiner,
  HeldBlocks,
  JoinGate,
  MemberPort,
  OutMember,
  ResyncOwner,
} from '../resync/resync-ports.ts'
import type { ChangeOutcome } from './head-keeper.ts'
import type { EpochMemberPort } from './member-port.ts'
import type { Ownership } from './ownership.ts'
import { type BrickNames, rangesOf } from './sets.ts'
import { SpanHold } from './span-hold.ts'

interface AnsweredFence {
  readonly status: PeerStatus
  /** That the brick was told of. */
  readonly setVersion: number
  /** With status ok. */
  readonly fenced: FenceAnswer
}

/** What resync and moves ask of an owned volume, in terms of its epoch. */
export class EpochResync implements ResyncOwner {
  readonly #ownership: Ownership
  readonly #names: BrickNames
  readonly #gates = new Map<number, JoinGate>()
  /** By peer whose brick has failed: bootMs since when that is known. */
  readonly #failedSinceMs = new Map<number, number>()

  constructor(ownership: Ownership, names: BrickNames) {
    this.#ownership = ownership
    this.#names = names
  }

  get volumeUuid(): string {
    return this.#ownership.uuid
  }

  get sizeBytes(): number {
    return alignUp(this.#ownership.head.sizeBytes)
  }

  get ranges(): number {
    return this.#ownership.sets.placement.length
  }

  get epoch(): number {
    return this.#ownership.epoch
  }

  get generation(): number {
    return this.#ownership.head.generation
  }

  get ended(): boolean {
    return this.#ownership.ended
  }

  isServed(range: number): boolean {
    return this.#ownership.sets.isServed(range)
  }

  outMembers(): readonly OutMember[] {
    const { head, sets, node } = this.#ownership
    const outs: OutMember[] = []
    for (const out of head.out) {
      const peer = this.#names.peerOf(out.uuid)
      if (peer === null) continue
      const ranges = Array.from({ length: rangesOf(head.sizeBytes) }, (_, range) => range).filter(
        range =>
          sets.isServed(range) && sets.placement[range]?.includes(peer) === true && !isInSync(out, range),
      )
      if (ranges.length === 0) continue
      const isSelf = peer === node.network.self.peerNumber
      if (isSelf) this.#setFailed(peer, node.store.failure !== null)
      outs.push({
        peerNumber: peer,
        // A new brick in the place of the one that left has nothing to build on.
        since: this.#brickAt(peer) === out.uuid ? out.since : 0,
        ranges,
        answers: isSelf ? node.store.failure === null : node.links.to(peer).isUp,
        awayMs: Math.max(isSelf ? 0 : node.links.downForMs(peer), this.#failedForMs(peer)),
        notBeforeMs: node.damping.notBeforeMs(peer),
      })
    }
    return outs
  }

  async leftBehind(peerNumber: number): Promise<MemberPort | null> {
    const { node, sets } = this.#ownership
    const isSelf = peerNumber === node.network.self.peerNumber
    if (sets.placement.every(peers => peers.includes(peerNumber))) return null
    if (!isSelf && !node.links.to(peerNumber).isUp) throw unavailable(`peer ${peerNumber} is not connected`)
    if (this.#isMember(peerNumber)) return this.#memberPort(peerNumber)
    const answer = await this.#askFence(peerNumber)
    if (answer.status === PeerStatus.unknownVolume) return null
    return this.#fencedPort(peerNumber, answer)
  }

  isPlaced(peerNumber: number, range: number): boolean {
    return this.#ownership.sets.placement[range]?.includes(peerNumber) ?? false
  }

  members(range: number): readonly MemberPort[] {
    return this.#ownership.members(range)
  }

  async fence(peerNumber: number): Promise<FencedJoiner> {
    if (this.#isMember(peerNumber)) {
      const port = this.#memberPort(peerNumber)
      // The volume may have grown while this one was on its way into the sets of other ranges.
      await port.order({ what: 'growVolume', sizeBytes: this.sizeBytes })
      return { port, isNew: false }
    }
    let answer = await this.#askFence(peerNumber)
    const isNew = answer.status === PeerStatus.unknownVolume
    if (isNew) {
      const { node } = this.#ownership
      await this.#change(() => this.#ownership.sets.emptied(peerNumber))
      const order = { what: 'createVolume', sizeBytes: this.sizeBytes } as const
      await node.orders.ask(peerNumber, this.#terms(), order)
      answer = await this.#askFence(peerNumber)
    }
    return { port: this.#fencedPort(peerNumber, answer), isNew }
  }

  setGate(peerNumber: number, gate: JoinGate | null): void {
    if (gate === null) this.#gates.delete(peerNumber)
    else this.#gates.set(peerNumber, gate)
    const gates = [...this.#gates].map(([peer, each]) => ({
      member: this.#ownership.member(peer),
      gate: each,
    }))
    this.#ownership.extents.setGates(gates)
  }

  begunOperationsEnded(): Promise<void> {
    return this.#ownership.extents.begunOperationsEnded()
  }

  async hold(offsetBytes: number, lengthBytes: number): Promise<HeldBlocks> {
    const held = new SpanHold(this.#ownership.queue, offsetBytes, offsetBytes + lengthBytes)
    await held.begun
    return held
  }

  async change(change: EarnedChange, stillEarned: () => boolean = () => true): Promise<boolean> {
    const outcome = await this.#change(async () =>
      stillEarned() ? await this.#ownership.earn(change) : 'unchanged',
    )
    return outcome === 'changed'
  }

  /** Rejects when the epoch ends, with which it may or may not have been carried out. */
  async #change(step: () => Promise<ChangeOutcome>): Promise<ChangeOutcome> {
    let outcome: ChangeOutcome = 'ended'
    await this.#ownership.serially(async () => {
      outcome = await step()
      if (outcome === 'superseded') this.#ownership.superseded()
    })
    if (this.ended || outcome === 'ended') throw unavailable('the epoch is over')
    return outcome
  }

  /** Of old or new sets, while a change of them is on its way. */
  #isMember(peerNumber: number): boolean {
    return this.#ownership.extents.everybody.some(member => member.peerNumber === peerNumber)
  }

  /**
   * A member of some range was fenced at the start of the epoch. Fencing another process of it now would take it back
   * without the reconcile that a restart needs. PROTOCOL rule 16.
   */
  #memberPort(peerNumber: number): EpochMemberPort {
    const member = this.#ownership.member(peerNumber)
    if (member.reachable) return this.#ownership.port(member)
    throw unavailable(`peer ${peerNumber} is not the process that was fenced`)
  }

  #terms() {
    const { uuid, epoch, setVersion } = this.#ownership
    return { volumeUuid: uuid, epoch, setVersion }
  }

  async #askFence(peerNumber: number): Promise<AnsweredFence> {
    const { node, head } = this.#ownership
    const { setVersion, generation } = head
    const order = { what: 'fence', sizeBytes: this.sizeBytes, generation, runs: true } as const
    const { status, body } = await node.orders.ask(peerNumber, this.#terms(), order)
    if (status === PeerStatus.staleEpoch) this.#ownership.superseded()
    if (status === BlockStatus.ok || status === BlockStatus.ioError)
      this.#setFailed(peerNumber, status === BlockStatus.ioError)
    return { status, setVersion, fenced: body as FenceAnswer }
  }

  #fencedPort(peerNumber: number, { status, setVersion, fenced }: AnsweredFence): MemberPort {
    if (status !== BlockStatus.ok || this.ended)
      throw unavailable(`peer ${peerNumber} answered the fence with ${status}`)
    if (fenced.epoch > this.epoch || fenced.setVersion > this.#ownership.setVersion)
      throw unavailable(`peer ${peerNumber} is ahead of the metadata`)
    return this.#ownership.port(this.#ownership.fenced(peerNumber, Math.max(setVersion, fenced.setVersion)))
  }

  #setFailed(peer: number, failed: boolean): void {
    if (!failed) this.#failedSinceMs.delete(peer)
    else if (!this.#failedSinceMs.has(peer))
      this.#failedSinceMs.set(peer, this.#ownership.node.timers.bootMs())
  }

  #failedForMs(peer: number): number {
    const sinceMs = this.#failedSinceMs.get(peer)
    return sinceMs === undefined ? 0 : this.#ownership.node.timers.bootMs() - sinceMs
  }

  #brickAt(peer: number): string | null {
    const { network, links } = this.#ownership.node
    if (peer === network.self.peerNumber) return network.self.brickUuid
    return links.to(peer).identity?.brickUuid ?? null
  }
}

function unavailable(message: string): HoldfastError {
  return new HoldfastError('ERR_BLOCK_UNAVAILABLE', message)
}
