import type { BlockExtent } from '../../src/block/block-device.ts'
import { BlockKind, BlockOperation } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import type { OwnerValue, VolumeHead } from '../../src/control/layout.ts'
import { Gateway, type Ownerships } from '../../src/gateway/gateway.ts'
import type { GatewayLimits } from '../../src/gateway/limits.ts'
import type { RoutedVolume } from '../../src/gateway/routed-volume.ts'
import {
  fateOf,
  type LoggedOperation,
  type OperationFate,
  packOperations,
} from '../../src/replication/operation-log.ts'
import type { PeerNetwork } from '../../src/replication/peer-network.ts'
import type { OwnedHere } from '../../src/replication/replication.ts'
import type { Timers } from '../../src/replication/timers.ts'
import { LocalPeerHub } from '../../src/replication/wire/local-peer-network.ts'
import type { VolumeExtents } from '../../src/store/brick.ts'
import type { ClientIdentity } from '../../src/volume/client-identity.ts'
import { OperationQueue } from '../../src/volume/operation-queue.ts'
import { Reservations } from '../../src/volume/reservations.ts'
import { Sanitization } from '../../src/volume/sanitize/sanitization.ts'
import type { VolumeHandle } from '../../src/volume/volume.ts'
import { AMPLE_SPACE } from '../../src/volume/volume-space.ts'
import { MemoryExtents } from './memory-extents.ts'
import { MemoryStateStorage } from './memory-state-storage.ts'
import { peerIdentity, TestHandler, VOLUME } from './peer-network-contract.ts'

export const SIZE = 2 ** 20
const NAME = 'shared'

export const realTimers: Timers = {
  bootMs: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    return { cancel: () => clearTimeout(timer) }
  },
}

type Noted = Pick<BlockOperation, 'stream' | 'sequence' | 'offsetBytes' | 'lengthBytes'>

/** What the bricks hold, as the owner of one epoch reaches it: refuses once the epoch is over. */
class EpochExtents implements VolumeExtents {
  ended = false
  generation = 1
  readonly usedBytes = 0
  readonly #bricks: MemoryExtents
  readonly #inFlight = new Set<BlockOperation>()
  /** What the bricks still have: a fence waits for it. */
  readonly #atBricks = new Set<BlockOperation>()
  readonly #note: (operation: Noted) => void

  constructor(bricks: MemoryExtents, note: (operation: Noted) => void) {
    this.#bricks = bricks
    this.#note = note
  }

  get failedAtBytes(): number {
    return this.#bricks.failedAtBytes
  }

  readNow(): BlockStatus {
    return BlockStatus.wouldBlock
  }

  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    _checksums: Uint32Array | null = null,
    stream = 0,
    sequence = 0,
  ): BlockStatus {
    if (this.ended) return BlockStatus.wouldBlock
    const status = this.#bricks.writeNow(offsetBytes, lengthBytes, from, at)
    if (status === BlockStatus.ok) this.#note({ stream, sequence, offsetBytes, lengthBytes })
    return status
  }

  submit(operation: BlockOperation): void {
    this.#inFlight.add(operation)
    if (this.ended) return void setImmediate(() => this.#refuse(operation))
    this.#note(operation)
    // The caller uses its operation again as soon as it is refused; the bricks keep what they were given.
    const { kind, offsetBytes, lengthBytes, dataAt } = operation
    const data = kind === BlockKind.read ? operation.data : Buffer.from(operation.data)
    const inner = new BlockOperation({
      blockDone: ({ status, failedAtBytes }) => {
        this.#atBricks.delete(inner)
        if (!this.#inFlight.delete(operation)) return
        Object.assign(operation, { status, failedAtBytes })
        operation.completion.blockDone(operation)
      },
    })
    this.#atBricks.add(inner)
    this.#bricks.submit(Object.assign(inner, { kind, offsetBytes, lengthBytes, data, dataAt }))
  }

  /** Nothing of this epoch reaches the bricks any more. */
  async drained(): Promise<void> {
    while ([...this.#atBricks].some(operation => !this.#bricks.held.includes(operation))) {
      await new Promise(resolve => setImmediate(resolve))
    }
    // Held back until now, and too late from now on.
    for (const operation of this.#atBricks) this.#bricks.held.splice(this.#bricks.held.indexOf(operation), 1)
    this.#atBricks.clear()
  }

  /** The epoch is over; what is in flight ends as unavailable, whatever becomes of it. */
  end(): void {
    this.ended = true
    for (const operation of [...this.#inFlight]) this.#refuse(operation)
  }

  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    return this.#bricks.extents(offsetBytes, lengthBytes)
  }

  quietSegments(): number[] {
    return []
  }

  async clearSegments(): Promise<void> {}

  #refuse(operation: BlockOperation): void {
    if (!this.#inFlight.delete(operation)) return
    operation.status = BlockStatus.unavailable
    operation.completion.blockDone(operation)
  }
}

interface OwnedThere extends OwnedHere {
  readonly peer: GatewayPeer
  readonly extents: EpochExtents
}

interface GatewayPeer {
  readonly number: number
  readonly network: PeerNetwork & AsyncDisposable
  readonly gateway: Gateway
  readonly volume: RoutedVolume
  ownerChanged: () => void
  readonly dropped: string[]
  /** The others know its daemon to be up. */
  isRegistered: boolean
  /** What it has heard of lost rights. */
  rightsVersion: number
  /** What the protocol does when a client's connections end. */
  onDrop: () => void
}

/** Gateways of one process before one volume in memory, whose owner is whom the test says. */
export class GatewayWorld implements AsyncDisposable {
  readonly bricks = new MemoryExtents(SIZE)
  readonly storage = new MemoryStateStorage()
  readonly peers: GatewayPeer[] = []
  /** What reached the bricks, in order: kept as replicas keep it. */
  readonly recent: LoggedOperation[] = []
  /** Told when something has reached the bricks. */
  carriedOut: () => void = () => {}
  /** What the next owners believe of everything in doubt, instead of what `recent` says. */
  fateInstead: OperationFate | null = null
  lossGeneration = 0
  rightsVersion = 0
  readonly #hub = new LocalPeerHub()
  readonly #timers: Timers
  #owner: OwnedThere | null = null
  #latest: EpochExtents | null = null
  #epoch = 1

  constructor(count: number, limits: Partial<GatewayLimits> = {}, timers: Timers = realTimers) {
    this.#timers = timers
    this.bricks.neverInline = true
    for (let number = 1; number <= count; number++) this.#addPeer(number, limits)
  }

  peer(number: number): GatewayPeer {
    return this.peers[number - 1]!
  }

  open(gateway: number, client: ClientIdentity): VolumeHandle {
    return this.peer(gateway).volume.open(client)
  }

  /** A peer becomes the owner in the next epoch; the former one, if it lives, learns of it first. */
  async takeOver(number: number): Promise<void> {
    const before = this.#latest
    await this.release()
    await before?.drained()
    this.#epoch++
    const peer = this.peer(number)
    const extents = new EpochExtents(this.bricks, ({ stream, sequence, offsetBytes, lengthBytes }) => {
      this.recent.push({ stream, sequence, offsetBytes, lengthBytes })
      this.carriedOut()
    })
    const log = { complete: true, operations: packOperations(this.recent), forgotten: [] }
    const owned: OwnedThere = {
      peer,
      name: NAME,
      uuid: VOLUME,
      epoch: this.#epoch,
      head: this.head(),
      sizeBytes: this.head().sizeBytes,
      extents,
      queue: new OperationQueue(),
      fate: operation => this.fateInstead ?? fateOf(operation, [[log]]),
      get ended() {
        return extents.ended
      },
      stillOwned: () => [],
    }
    this.#owner = owned
    this.#latest = extents
    await peer.gateway.begin(owned)
    for (const { ownerChanged } of this.peers) ownerChanged()
  }

  /** Nobody owns the volume. */
  async release(): Promise<void> {
    const owner = this.#owner
    if (owner === null) return
    this.#owner = null
    owner.extents.end()
    const ended = owner.peer.gateway.end(owner)
    for (const { ownerChanged } of this.peers) ownerChanged()
    await ended
  }

  /** The owner is gone without a word: only its connections tell. */
  async killOwner(): Promise<void> {
    const { peer, extents } = this.#owner!
    extents.ended = true
    this.#owner = null
    await peer.network[Symbol.asyncDispose]()
    for (const { ownerChanged } of this.peers) ownerChanged()
  }

  head(): VolumeHead {
    return {
      uuid: VOLUME,
      epoch: this.#epoch,
      sizeBytes: SIZE,
      blockSizeBytes: 512,
      readOnly: false,
      removable: false,
      naa: '6'.padEnd(32, '0'),
      lossGeneration: this.lossGeneration,
      rightsVersion: this.rightsVersion,
    } as VolumeHead
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.bricks.holdBack = false
    while (this.bricks.held.length > 0) this.bricks.release()
    await Promise.all(this.peers.map(({ volume }) => volume.close()))
    await this.release()
  }

  #addPeer(number: number, limits: Partial<GatewayLimits>): void {
    const network = this.#hub.join(peerIdentity(number))
    const dropped: string[] = []
    const gateway = new Gateway({
      network,
      timers: this.#timers,
      log: { info() {}, warn() {}, error: fields => void dropped.push(`error ${JSON.stringify(fields)}`) },
      connections: {
        drop: (_, client) => {
          dropped.push(client.protocol === 'iscsi' ? client.initiatorName : client.protocol)
          this.peer(number).onDrop()
        },
      },
      otherGateways: () => {
        const others = this.peers.filter(peer => peer.number !== number && peer.isRegistered)
        return others.map(peer => peer.number)
      },
      rightsVersion: () => this.peer(number).rightsVersion,
      openState: async () => {
        const reservations = new Reservations(this.storage)
        await reservations.load({ afterPowerLoss: false })
        const sanitization = new Sanitization({ storage: new MemoryStateStorage(), bytesPerSecond: 2 ** 30 })
        return { reservations, sanitization, space: AMPLE_SPACE }
      },
      limits: { ownerWaitMs: 2_000, resumeWindowMs: 60, settleMs: 500, ...limits },
    })
    const listeners: (() => void)[] = []
    const ownerships: Ownerships = {
      handler: new TestHandler(),
      owner: () => this.#ownerValue(),
      onOwnerChange(listener) {
        listeners.push(() => listener(NAME))
        return () => {}
      },
      want() {},
      unwant() {},
    }
    network.serve(gateway.start(ownerships))
    const volume = gateway.open({
      ...{ name: NAME, uuid: VOLUME, naa: Buffer.alloc(16), blockSizeBytes: 512, removable: false },
      ...{ sizeBytes: SIZE, readOnly: false },
    })
    const ownerChanged = () => {
      for (const tell of listeners) tell()
    }
    this.peers.push({
      number,
      network,
      gateway,
      volume,
      ownerChanged,
      dropped,
      isRegistered: true,
      rightsVersion: 0,
      onDrop() {},
    })
  }

  #ownerValue(): OwnerValue | null {
    if (this.#owner === null) return null
    const { peer, epoch } = this.#owner
    return { peer: `peer-${peer.number}`, number: peer.number, epoch, incarnation: 'one' }
  }
}

export interface Done {
  readonly status: BlockStatus
  readonly data: Buffer
  readonly failedAtBytes: number
}

/** Carries one operation out, as a protocol does it: in place where that can be, else submitted. */
export function io(
  handle: VolumeHandle,
  kind: BlockKind,
  offsetBytes: number,
  lengthBytes: number,
  data: Buffer = Buffer.alloc(lengthBytes),
): { readonly operation: BlockOperation; readonly done: Promise<Done> } {
  let ended: (done: Done) => void = () => {}
  const done = new Promise<Done>(resolve => {
    ended = resolve
  })
  const operation = new BlockOperation({
    blockDone: ({ status, failedAtBytes }) => ended({ status, data, failedAtBytes }),
  })
  Object.assign(operation, { kind, offsetBytes, lengthBytes, data })
  handle.submit(operation)
  return { operation, done }
}

export async function write(handle: VolumeHandle, offsetBytes: number, fill: number, lengthBytes = 4096) {
  const { status } = await io(
    handle,
    BlockKind.write,
    offsetBytes,
    lengthBytes,
    Buffer.alloc(lengthBytes, fill),
  ).done
  return status
}

/** The byte that a range is full of; throws when it is not read or not uniform. */
export async function read(handle: VolumeHandle, offsetBytes: number, lengthBytes = 4096): Promise<number> {
  const { status, data } = await io(handle, BlockKind.read, offsetBytes, lengthBytes).done
  if (status !== BlockStatus.ok || !data.equals(Buffer.alloc(lengthBytes, data[0]))) {
    throw new Error(`read ended with status ${status}, ${data[0]} first`)
  }
  return data[0]!
}

export function initiator(name: string, isid = '400001370000'): ClientIdentity {
  return { protocol: 'iscsi', initiatorName: `iqn.2026-11.test:${name}`, isid, targetPortalGroupTag: 1 }
}
