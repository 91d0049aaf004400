import { BlockStatus } from '../../../src/block/block-status.ts'
import { decodeValue, keys, type VolumeHead } from '../../../src/control/layout.ts'
import type { Transaction } from '../../../src/metadata/metadata-store.ts'
import {
  type IncomingRequest,
  type PeerRequest,
  PeerRequestKind,
  type PeerStatus,
} from '../../../src/replication/peer-network.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import type { EtcdTrouble } from '../etcd/sim-etcd-client.ts'
import type { SimConnection } from '../network/sim-connection.ts'
import type { Random } from '../world/random.ts'
import type { Later } from './faults.ts'

/** A moment that has not come by then will not be struck. */
const PATIENCE_MS = 6_000

/** One aimed fault while it waits for its moment, and after. */
export interface Aim {
  readonly world: World
  readonly random: Random
  /** As every fault mends what it broke: nothing happens once everything was mended. */
  readonly later: Later
  readonly isOver: () => boolean
  /** The moment has come: only now the fault counts. */
  readonly struck: (what: string) => void
}

/** A volume, who owns it and who else has it. */
export interface Target {
  readonly volume: TestedVolume
  readonly owner: SimPeer
  /** Members besides the owner, running, at least one. */
  readonly others: readonly SimPeer[]
}

export function aimAtVolume({ world, random }: Aim): Target | null {
  const volume = random.pick(world.volumes)
  const owner = ownerOf(world, volume)
  const members = world.judge.view(volume)?.members.flat() ?? []
  const others = world.peers.filter(
    peer => peer !== owner && peer.isRunning && members.includes(peer.disk.uuid),
  )
  return owner === null || others.length === 0 ? null : { volume, owner, others }
}

/** Who runs and has the key of the volume's owner. */
export function ownerOf(world: World, volume: TestedVolume): SimPeer | null {
  const entry = world.etcd.read(keys.owner(volume.name))
  if (entry === null) return null
  const { number } = decodeValue('owner', entry.key, entry.value)
  const owner = world.peers.find(peer => peer.number === number)
  return owner?.isRunning ? owner : null
}

/** Etcd forgets who owns the volume, and goes on confirming the lease for so long. */
export function revokeOwner(world: World, volume: TestedVolume, confirmMs: number): void {
  const entry = world.etcd.read(keys.owner(volume.name))
  if (entry !== null) world.etcd.revokeOf(entry.lease, confirmMs)
}

export function cut(world: World, one: SimPeer, other: SimPeer): void {
  world.network.block(one.number, other.number)
  world.network.block(other.number, one.number)
  tellPaths(world)
}

export function tellPaths(world: World): void {
  for (const node of world.network.nodes()) node.pathsChanged()
}

/** Kills it now and starts it again. */
export function restart({ later }: Aim, peer: SimPeer, downMs: number): void {
  peer.kill()
  later(downMs, () => peer.start())
}

/** Strikes when the owner sends the next write of the volume to `to`, before it is on its way. */
export function atNextWrite(
  aim: Aim,
  { volume, owner }: Target,
  to: SimPeer,
  strike: (connection: SimConnection, request: PeerRequest) => void,
  isMeant: (request: PeerRequest) => boolean = () => true,
): void {
  atNextRequest(aim, strike, (connection, request) => {
    if (request.kind !== PeerRequestKind.write || request.volume !== volume.uuid) return false
    return isBetween(connection, owner, to) && isMeant(request)
  })
}

/** Strikes at the next request for which `isMeant`. */
export function atNextRequest(
  aim: Aim,
  strike: (connection: SimConnection, request: PeerRequest) => void,
  isMeant: (connection: SimConnection, request: PeerRequest) => boolean,
): void {
  const { network, loop } = aim.world
  const tap = {
    sent: (connection: SimConnection, request: PeerRequest) => {
      if (aim.isOver() || !isMeant(connection, request)) return
      network.taps.delete(tap)
      strike(connection, request)
    },
  }
  network.taps.add(tap)
  loop.after(PATIENCE_MS, () => network.taps.delete(tap))
}

/** Strikes when somebody has been given a copy that `source` sent of some of these bytes, and not yet of all. */
export function atNextCopy(
  aim: Aim,
  source: SimPeer,
  fromBytes: number,
  toBytes: number,
  strike: () => void,
): void {
  const { network, loop } = aim.world
  const tap = {
    answered: (connection: SimConnection, { kind, offsetBytes, lengthBytes }: IncomingRequest) => {
      if (aim.isOver() || kind !== PeerRequestKind.copyIn) return
      if (connection.link.node !== source.parts?.node) return
      if (offsetBytes >= toBytes || offsetBytes + lengthBytes <= fromBytes) return
      network.taps.delete(tap)
      loop.after(0, strike)
    },
  }
  network.taps.add(tap)
  loop.after(2 * PATIENCE_MS, () => network.taps.delete(tap))
}

/** Strikes when a daemon has carried out a client's write that came by the gateway of another, which does not know yet. */
export function atNextForwarded(
  aim: Aim,
  { volume, owner }: Target,
  strike: (gateway: SimPeer) => void,
): void {
  const { network, loop, peers } = aim.world
  const tap = {
    answered: (connection: SimConnection, request: IncomingRequest, status: PeerStatus) => {
      if (aim.isOver() || request.kind !== PeerRequestKind.forward || request.volume !== volume.uuid) return
      if (status !== BlockStatus.ok || request.payloadLengthBytes === 0) return
      const gateway = peers.find(({ parts }) => parts !== null && parts.node === connection.link.node)
      if (gateway === undefined || connection.target !== owner.parts?.node) return
      network.taps.delete(tap)
      strike(gateway)
    },
  }
  network.taps.add(tap)
  loop.after(PATIENCE_MS, () => network.taps.delete(tap))
}

export function isBetween(connection: SimConnection, from: SimPeer, to: SimPeer): boolean {
  return connection.link.node === from.parts?.node && connection.target === to.parts?.node
}

/** Strikes when the next change of the volume's sets is about to be sent. */
export function atNextSetChange(
  aim: Aim,
  volume: TestedVolume,
  isMeant: (now: VolumeHead, wanted: VolumeHead) => boolean,
  strike: (trouble: EtcdTrouble) => void,
): void {
  const { etcd, loop } = aim.world
  const key = keys.head(volume.name)
  const tap = (trouble: EtcdTrouble, { success }: Transaction) => {
    const put = success.find(operation => operation.do === 'put' && operation.key === key)
    const now = aim.world.judge.view(volume)?.head
    if (aim.isOver() || put?.do !== 'put' || now === undefined) return
    if (!isMeant(now, decodeValue('volume', key, Buffer.from(put.value)))) return
    etcd.taps.delete(tap)
    strike(trouble)
  }
  etcd.taps.add(tap)
  loop.after(PATIENCE_MS, () => etcd.taps.delete(tap))
}

/** Strikes when a new epoch of the volume begins to be served. */
export function atNextEpoch({ world, isOver }: Aim, volume: TestedVolume, strike: () => void): void {
  const listener = (name: string) => {
    if (isOver() || name !== volume.name) return
    world.epochListeners.delete(listener)
    world.loop.after(0, strike)
  }
  world.epochListeners.add(listener)
  world.loop.after(2 * PATIENCE_MS, () => world.epochListeners.delete(listener))
}
