import { RANGE_BYTES } from '../../../src/control/layout.ts'
import {
  type IncomingRequest,
  type PeerRequest,
  PeerRequestKind,
  type PeerStatus,
} from '../../../src/replication/peer-network.ts'
import { BLOCK_BYTES } from '../brick/volume-image.ts'
import type { SimConnection } from '../network/sim-connection.ts'
import type { NetworkTap } from '../network/sim-network.ts'
import { Violation } from '../world/violation.ts'
import type { Judged, TestedVolume } from './judge.ts'

const OK = 0
const CHANGES: readonly PeerRequestKind[] = [
  PeerRequestKind.write,
  PeerRequestKind.trim,
  PeerRequestKind.zero,
  PeerRequestKind.copyIn,
]

interface Served {
  epoch: number
  /** Blocks that clients have changed under it. */
  readonly changed: Set<number>
}

/** What can be told from the messages between daemons as they pass: I1 at the bricks, I8 at the end of a reconcile. */
export class MessageJudge implements NetworkTap {
  readonly #world: Judged
  readonly #members: (volume: TestedVolume) => readonly (readonly string[])[]
  readonly #served = new Map<string, Served>()

  constructor(world: Judged, members: (volume: TestedVolume) => readonly (readonly string[])[]) {
    this.#world = world
    this.#members = members
  }

  epochBegun(name: string, epoch: number): void {
    this.#served.set(name, { epoch, changed: new Set() })
  }

  isServed(name: string, epoch: number): boolean {
    return this.#served.get(name)?.epoch === epoch
  }

  sent(_connection: SimConnection, request: PeerRequest): void {
    const { kind, offsetBytes, lengthBytes } = request
    if (!CHANGES.includes(kind) || kind === PeerRequestKind.copyIn) return
    const volume = this.#volume(request.volume)
    const served = volume === undefined ? undefined : this.#served.get(volume.name)
    if (served === undefined || served.epoch !== request.epoch) return
    const end = offsetBytes + lengthBytes
    for (const block of volume!.blocks) {
      const at = block * BLOCK_BYTES
      if (at < end && at + BLOCK_BYTES > offsetBytes) served.changed.add(block)
    }
  }

  answered(connection: SimConnection, request: IncomingRequest, status: PeerStatus): void {
    if (status !== OK) return
    if (CHANGES.includes(request.kind)) this.#checkEpoch(connection, request)
    else if ((request.body as { what?: string } | null)?.what === 'reconciled') this.#checkReconciled(request)
  }

  /** I1: a brick that has persisted an epoch applies nothing of an older one, whatever arrives or ends late. */
  #checkEpoch(connection: SimConnection, { volume, epoch, kind }: IncomingRequest): void {
    const { brickUuid, peerNumber } = connection.target.self
    const disk = this.#world.peers.find(peer => peer.disk.uuid === brickUuid)?.disk
    const persisted = disk?.images.get(volume)?.descriptor.epoch ?? 0
    if (persisted <= epoch) return
    const message = `peer ${peerNumber} applied a request (${kind}) of epoch ${epoch} after it had persisted ${persisted}`
    this.#world.broken(new Violation('I1', message))
  }

  /** I8: nothing is in doubt any more, so members are alike wherever no client has written under this epoch. */
  #checkReconciled(request: IncomingRequest): void {
    const volume = this.#volume(request.volume)
    const served = volume === undefined ? undefined : this.#served.get(volume.name)
    if (volume === undefined || served?.epoch !== request.epoch) return
    const members = this.#members(volume)
    for (const block of volume.blocks) {
      if (served.changed.has(block)) continue
      const copies = (members[Math.floor((block * BLOCK_BYTES) / RANGE_BYTES)] ?? []).map(uuid => {
        const disk = this.#world.peers.find(peer => peer.disk.uuid === uuid)?.disk
        return disk?.images.get(volume.uuid)?.verified(block) ?? null
      })
      const good = copies.filter(copy => copy !== null)
      if (good.every(copy => copy.equals(good[0]!))) continue
      const message = `epoch ${served.epoch} of ${volume.name} is reconciled, and members differ in block ${block}`
      this.#world.broken(new Violation('I8', message))
    }
  }

  #volume(uuid: string): TestedVolume | undefined {
    return this.#world.volumes.find(volume => volume.uuid === uuid)
  }
}
