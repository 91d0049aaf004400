import { LocalBrick, Member } from './member.ts'
import { EpochMemberPort, type PortTerms } from './member-port.ts'
import type { OwnerNode } from './node.ts'
import type { BrickNames } from './sets.ts'

/** The bricks that an epoch has to do with, members or not, and the way to each. */
export class EpochMembers implements BrickNames {
  readonly #node: OwnerNode
  readonly #names: BrickNames
  readonly #terms: PortTerms
  readonly #members = new Map<number, Member>()
  readonly #all: Member[] = []
  readonly #ports = new Map<number, EpochMemberPort>()

  constructor(node: OwnerNode, names: BrickNames, terms: PortTerms) {
    this.#node = node
    this.#names = names
    this.#terms = terms
  }

  /** Every brick that has been fenced for this epoch: whose grants are asked for. */
  get fenced(): readonly Member[] {
    return this.#all.every(isFenced) ? this.#all : this.#all.filter(isFenced)
  }

  /** The records are as old as the epoch: bricks that came later have said who they are when they were fenced. */
  peerOf(brickUuid: string): number | null {
    const known = this.#names.peerOf(brickUuid)
    if (known !== null) return known
    for (const member of this.#members.values()) if (member.brickUuid === brickUuid) return member.peerNumber
    return null
  }

  brickOf(peerNumber: number): string | null {
    return this.#names.brickOf(peerNumber) ?? (this.#members.get(peerNumber)?.brickUuid || null)
  }

  of(peerNumber: number): Member {
    const known = this.#members.get(peerNumber)
    if (known !== undefined) return known
    const { network, replica, store, links } = this.#node
    const isSelf = peerNumber === network.self.peerNumber
    const brick = isSelf ? network.self.brickUuid : (this.#names.brickOf(peerNumber) ?? '')
    const local = isSelf ? new LocalBrick(replica, store, this.#terms.volumeUuid) : null
    const member = new Member(peerNumber, brick, isSelf ? null : links.to(peerNumber), local)
    this.#members.set(peerNumber, member)
    this.#all.push(member)
    return member
  }

  port(member: Member): EpochMemberPort {
    let port = this.#ports.get(member.peerNumber)
    if (port === undefined) {
      port = new EpochMemberPort(member, this.#node.orders, this.#terms, this.#node.timers)
      this.#ports.set(member.peerNumber, port)
    }
    return port
  }

  /** It was fenced for the epoch apart from the takeover: it comes back. */
  returned(peerNumber: number, setVersion: number): Member {
    const member = this.of(peerNumber)
    const identity = member.link?.identity ?? this.#node.network.self
    member.incarnation = identity.incarnation
    member.brickUuid = identity.brickUuid
    member.setVersion = setVersion
    member.fenced = true
    member.standsAlone = false
    member.changes++
    return member
  }
}

function isFenced({ fenced }: Member): boolean {
  return fenced
}
