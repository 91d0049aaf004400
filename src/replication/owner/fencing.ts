import { BlockStatus } from '../../block/block-status.ts'
import type { VolumeHead } from '../../control/layout.ts'
import { SEGMENTS_PER_RANGE } from '../../store/layout.ts'
import { alignUp } from '../../volume/block-alignment.ts'
import { type FenceAnswer, fenceWithLists } from '../messages.ts'
import { PeerStatus } from '../peer-network.ts'
import type { Member } from './member.ts'
import type { OwnerNode } from './node.ts'
import type { FenceState } from './serving-rule.ts'

const RETRY_MS = 100
/** One that cannot be built on is asked again, as long as M need it: its disk or its process may be another then. */
const FAILED_RETRY_MS = 1_000
/** A member that is connected gets so long to answer, which covers the promises that it waits out. */
const PATIENCE_MS = 3_000
/** One whose link has been down for so long is not waited for. */
const DOWN_MS = 1_000

/** Why the volume cannot be served until an operator recovers it. PROTOCOL rule 1. */
export class ReplicaAhead extends Error {
  override readonly name = 'ReplicaAhead'
}

export interface FencingOptions {
  readonly node: OwnerNode
  readonly volumeUuid: string
  /** The head of the epoch, as it is now. */
  readonly head: () => VolumeHead
  readonly ended: () => boolean
  /** Nothing of the epoch has been served yet. */
  readonly opening: () => boolean
  /** A higher epoch is known somewhere. */
  readonly superseded: () => void
  readonly ahead: (error: ReplicaAhead) => void
  /** The state of a member has changed. */
  readonly changed: () => void
  /** Is it in the in-sync set of any range now? */
  readonly isMember: (peerNumber: number) => boolean
}

interface Fenced {
  readonly sinceMs: number
  state: FenceState
  /** It has no descriptor: nothing of the volume is there. */
  isEmpty: boolean
  answer: FenceAnswer | null
  /** It left before it had answered, and is not asked any more. */
  isGivenUp: boolean
  /** Ranges in whose sets it came back after it had been fenced. */
  readonly joined: Set<number>
}

/** Fences the members of a volume for a new epoch, each for itself, until it answers or is hopeless. */
export class Fencing {
  readonly #options: FencingOptions
  readonly #members = new Map<number, Fenced>()

  constructor(options: FencingOptions) {
    this.#options = options
  }

  /** It is being asked, or has answered. */
  hasBegun(peerNumber: number): boolean {
    return this.#members.get(peerNumber)?.isGivenUp === false
  }

  state(peerNumber: number): FenceState {
    return this.#members.get(peerNumber)?.state ?? 'waiting'
  }

  /** It has answered that nothing of the volume is there: no process of it can be waited for. */
  isEmpty(peerNumber: number): boolean {
    return this.#members.get(peerNumber)?.isEmpty ?? false
  }

  answer(peerNumber: number): FenceAnswer | null {
    return this.#members.get(peerNumber)?.answer ?? null
  }

  get answers(): FenceAnswer[] {
    return [...this.#members.values()].flatMap(({ answer }) => answer ?? [])
  }

  /** There is no warm member to wait for: what this one holds stands. PROTOCOL rule 16. */
  acceptAsWarm(peerNumber: number): void {
    const fenced = this.#members.get(peerNumber)
    if (fenced?.answer == null) return
    fenced.state = 'warm'
    const activeSegments = [...fenced.answer.activeSegments, ...fenced.answer.suspectSegments]
    fenced.answer = { ...fenced.answer, state: 'warm', activeSegments, suspectSegments: [] }
  }

  /** Copied from the others there: nothing of it is suspect in these ranges any more. */
  joined(peerNumber: number, ranges: readonly number[]): void {
    const fenced = this.#members.get(peerNumber)
    if (fenced === undefined) return
    for (const range of ranges) fenced.joined.add(range)
    if (fenced.answer === null) return
    const isLeft = (segment: number) => !fenced.joined.has(Math.floor(segment / SEGMENTS_PER_RANGE))
    fenced.answer = { ...fenced.answer, suspectSegments: fenced.answer.suspectSegments.filter(isLeft) }
  }

  /** Others can be made like this one. */
  isGood(peerNumber: number, range: number): boolean {
    const fenced = this.#members.get(peerNumber)
    return fenced === undefined || fenced.state === 'warm' || fenced.joined.has(range)
  }

  /** Others need not wait for it any longer. */
  isHopeless(member: Member): boolean {
    const { node } = this.#options
    if (this.state(member.peerNumber) === 'failed') return true
    const sinceMs = this.#members.get(member.peerNumber)?.sinceMs
    if (sinceMs !== undefined && node.timers.bootMs() - sinceMs > PATIENCE_MS) return true
    return member.link !== null && node.links.downForMs(member.peerNumber) > DOWN_MS
  }

  /** Resolves when it is fenced, has left, or the epoch is over. */
  async fence(member: Member): Promise<void> {
    const { node, ended, changed, isMember } = this.#options
    const sinceMs = node.timers.bootMs()
    const fenced: Fenced = {
      ...{ sinceMs, state: 'waiting', isEmpty: false, answer: null },
      ...{ isGivenUp: false, joined: new Set() },
    }
    this.#members.set(member.peerNumber, fenced)
    while (!ended() && isMember(member.peerNumber)) {
      if (member.link?.isUp !== false) await this.#attempt(member, fenced)
      if (ended()) return
      if (fenced.state !== 'waiting') changed()
      if (fenced.answer !== null) return
      const retryMs = fenced.state === 'failed' ? FAILED_RETRY_MS : RETRY_MS
      await new Promise<void>(resolve => node.timers.after(retryMs, resolve))
    }
    fenced.isGivenUp = true
  }

  async #attempt(member: Member, fenced: Fenced): Promise<void> {
    const { node, volumeUuid, head, superseded } = this.#options
    const { epoch, setVersion, generation } = head()
    const sizeBytes = alignUp(head().sizeBytes)
    const identity = member.link?.identity ?? node.network.self
    const terms = { volumeUuid, epoch, setVersion }
    const order = {
      what: 'fence',
      sizeBytes,
      generation,
      opening: this.#options.opening(),
      runs: true,
    } as const
    const { status, body } = await node.orders.ask(member.peerNumber, terms, order)
    if (status === PeerStatus.staleEpoch) return superseded()
    if (status === PeerStatus.unknownVolume || status === BlockStatus.ioError) {
      fenced.state = 'failed'
      fenced.isEmpty = status === PeerStatus.unknownVolume
      return
    }
    if (status !== BlockStatus.ok) return
    const answer = fenceWithLists(body as FenceAnswer)
    if (this.#isAhead(answer, member)) return
    member.incarnation = identity.incarnation
    member.brickUuid = identity.brickUuid
    member.setVersion = Math.max(answer.setVersion, setVersion)
    member.fenced = true
    fenced.isEmpty = false
    fenced.answer = answer
    fenced.state = answer.state
  }

  /**
   * Whoever is ahead belongs to metadata that were rolled back. Nobody is too far behind: where other ranges were
   * served, their sets went on changing without those that were not fenced. PROTOCOL rule 1.
   */
  #isAhead(answer: FenceAnswer, member: Member): boolean {
    const { head, ahead } = this.#options
    const { epoch, setVersion } = head()
    if (answer.epoch <= epoch && answer.setVersion <= setVersion) return false
    const message = `peer ${member.peerNumber} knows epoch ${answer.epoch}, set ${answer.setVersion}; the metadata epoch ${epoch}, set ${setVersion}`
    ahead(new ReplicaAhead(message))
    return true
  }
}
