import {
  encodeValue,
  keys,
  LAYOUT_VERSION,
  RANGE_BYTES,
  RANGES_PER_PAGE,
  type VolumeHead,
} from '../../../src/control/layout.ts'
import type { Operation } from '../../../src/metadata/metadata-store.ts'
import { BLOCK_BYTES, BLOCKS_PER_REGION, BLOCKS_PER_SEGMENT, VolumeImage } from '../brick/volume-image.ts'
import { History } from '../checker/history.ts'
import { Judge, type JudgedPeer, type TestedVolume } from '../checker/judge.ts'
import type { SimClient } from '../clients/sim-client.ts'
import { SimEtcd } from '../etcd/sim-etcd.ts'
import { SimNetwork } from '../network/sim-network.ts'
import { EventLoop } from '../world/event-loop.ts'
import { Random } from '../world/random.ts'
import { Tally } from '../world/tally.ts'
import { Trace } from '../world/trace.ts'
import type { Violation } from '../world/violation.ts'
import { SimPeer, type StartDaemon } from './sim-peer.ts'

/** What a seed decides before anything happens. */
export interface Shape {
  readonly peers: number
  readonly volumes: number
  readonly replicas: number
  readonly minReplicas: number
  /** Of each volume: more than 4 GiB has a second range. */
  readonly sizeBytes: number
  /** Clients come to any daemon's gateway, else to the owner's alone. */
  readonly gateways: boolean
  /** Some writes must be there whole or not at all. */
  readonly atomics: boolean
  /** Somebody restores a backup of etcd. */
  readonly rollback: boolean
}

const MIB = 2 ** 20
/** As `volume create` writes it. */
const FIRST_EPOCH = 1
/** All volumes together. */
const BLOCKS_IN_USE = 64
const CLUSTER_OF_BLOCKS = 8
const ATOMICS_CHANCE = 0.25
const ONE_IS_ENOUGH_CHANCE = 0.08
const ROLLBACK_CHANCE = 0.03

export function shapeOf(seed: number): Shape {
  const random = new Random(seed, 'shape')
  const peers = random.pick([3, 3, 4])
  return {
    peers,
    volumes: random.pick([1, 1, 2]),
    replicas: 3,
    minReplicas: new Random(seed, 'minimum').chance(ONE_IS_ENOUGH_CHANCE) ? 1 : 2,
    sizeBytes: random.chance(0.25) ? RANGE_BYTES + 16 * MIB : 64 * MIB,
    gateways: false,
    rollback: new Random(seed, 'rolled back').chance(ROLLBACK_CHANCE),
    atomics: new Random(seed, 'atomics').chance(ATOMICS_CHANCE),
  }
}

/** One cluster, its clients and the eye that sees all of it. */
export class World {
  readonly seed: number
  readonly shape: Shape
  readonly loop = new EventLoop()
  readonly tally = new Tally()
  readonly trace: Trace
  readonly random: Random
  readonly network: SimNetwork
  readonly etcd: SimEtcd
  readonly clusterId: string
  readonly history = new History()
  readonly judge: Judge
  readonly peers: SimPeer[] = []
  readonly volumes: TestedVolume[] = []
  readonly clients: SimClient[] = []
  readonly #judged: JudgedPeer[] = []
  readonly epochListeners = new Set<(volume: string) => void>()
  /** Where promises that were broken go when nobody is there to catch them. */
  broken: (violation: Violation) => void = violation => {
    throw violation
  }

  constructor(seed: number, shape: Shape, start: StartDaemon, print: ((line: string) => void) | null) {
    this.seed = seed
    this.shape = shape
    this.trace = new Trace(this.loop, print)
    this.random = new Random(seed, 'world')
    this.clusterId = this.random.uuid()
    this.network = new SimNetwork(this.loop, new Random(seed, 'network'), this.tally)
    this.etcd = new SimEtcd(this.loop, new Random(seed, 'etcd'), this.tally)
    for (let index = 0; index < shape.volumes; index++) this.volumes.push(this.#testedVolume(index))
    const judged = {
      loop: this.loop,
      etcd: this.etcd,
      network: this.network,
      volumes: this.volumes,
      peers: this.#judged,
      broken: (violation: Violation) => this.broken(violation),
    }
    this.judge = new Judge(judged, this.history)
    for (let number = 1; number <= shape.peers; number++) this.#add(new SimPeer(this, number, start))
    this.#writeMetadata()
    this.#makeDescriptors()
  }

  #add(peer: SimPeer): void {
    this.peers.push(peer)
    const { number, disk } = peer
    this.#judged.push({
      number,
      disk,
      get brick() {
        return peer.parts?.brick ?? null
      },
      get isReachable() {
        return peer.isReachable
      },
      mayRead(volume: string, epoch: number) {
        const authority = peer.daemon?.authority(volume) ?? null
        return authority !== null && authority.epoch < epoch && authority.untilMs > peer.machine.bootMs()
      },
    })
  }

  /** Rule 1: the open counter is raised in brick and metadata together. */
  registerBrick(peer: SimPeer): void {
    const value = encodeValue('brick', { peer: peer.peerId, openCounter: peer.disk.openCounter })
    this.etcd.transact({ compare: [], success: [{ do: 'put', key: keys.brick(peer.disk.uuid), value }] })
  }

  countInside(peer: SimPeer): void {
    if (peer.daemon !== null) this.tally.merge(peer.daemon.counts)
  }

  #testedVolume(index: number): TestedVolume {
    const { sizeBytes, volumes } = this.shape
    const last = sizeBytes / BLOCK_BYTES
    const edges = [
      BLOCKS_PER_SEGMENT,
      BLOCKS_PER_REGION,
      4 * BLOCKS_PER_SEGMENT,
      7 * BLOCKS_PER_REGION,
      9 * BLOCKS_PER_SEGMENT,
      40 * BLOCKS_PER_REGION,
      Math.min(RANGE_BYTES / BLOCK_BYTES, last - CLUSTER_OF_BLOCKS),
      last - CLUSTER_OF_BLOCKS / 2,
    ]
    const clusters = BLOCKS_IN_USE / volumes / CLUSTER_OF_BLOCKS
    const chosen = this.random.shuffled(edges.slice(0, 6)).slice(0, clusters - 2)
    const blocks = [...chosen, ...edges.slice(6)].flatMap(edge =>
      Array.from({ length: CLUSTER_OF_BLOCKS }, (_, i) => edge - CLUSTER_OF_BLOCKS / 2 + i),
    )
    return {
      index,
      name: `vol-${index}`,
      uuid: this.random.uuid(),
      sizeBytes,
      blocks: [...new Set(blocks)].filter(block => block < last).sort((a, b) => a - b),
    }
  }

  placementOf(volume: TestedVolume): number[][] {
    const numbers = Array.from({ length: this.shape.peers }, (_, i) => i + 1)
    const ranges = Math.ceil(volume.sizeBytes / RANGE_BYTES)
    const random = new Random(this.seed, `placement ${volume.index}`)
    return Array.from({ length: ranges }, () => random.shuffled(numbers).slice(0, this.shape.replicas))
  }

  headOf(volume: TestedVolume): VolumeHead {
    return {
      uuid: volume.uuid,
      state: 'ready',
      epoch: FIRST_EPOCH,
      replicas: this.shape.replicas,
      minReplicas: this.shape.minReplicas,
      generation: 1,
      setVersion: 1,
      lossGeneration: 0,
      pending: null,
      out: [],
      sizeBytes: volume.sizeBytes,
      blockSizeBytes: 512,
      readOnly: false,
      removable: false,
      naa: '0'.repeat(32),
      createdAt: '2026-01-01T00:00:00.000Z',
    }
  }

  #makeDescriptors(): void {
    for (const volume of this.volumes) {
      const { uuid, sizeBytes } = volume
      for (const number of new Set(this.placementOf(volume).flat())) {
        const image = new VolumeImage(uuid, sizeBytes, { epoch: FIRST_EPOCH, setVersion: 1 })
        this.peers[number - 1]!.disk.images.set(uuid, image)
      }
    }
  }

  /** The cluster as `cluster init` and `volume create` leave it. */
  #writeMetadata(): void {
    const puts: Operation[] = []
    const cluster = {
      layout: LAYOUT_VERSION,
      id: this.clusterId,
      createdAt: '',
      nextPeerNumber: this.peers.length + 1,
    }
    puts.push({ do: 'put', key: keys.cluster, value: encodeValue('cluster', cluster) })
    for (const { number, peerId, disk } of this.peers) {
      const peer = { number, addresses: [`10.0.0.${number}:9281`], labels: {} }
      puts.push({ do: 'put', key: keys.peer(peerId), value: encodeValue('peer', peer) })
      const brick = { peer: peerId, openCounter: disk.openCounter }
      puts.push({ do: 'put', key: keys.brick(disk.uuid), value: encodeValue('brick', brick) })
    }
    for (const volume of this.volumes) {
      const ranges = this.placementOf(volume)
      for (let page = 0; page * RANGES_PER_PAGE < ranges.length; page++) {
        const value = encodeValue('placement', {
          ranges: ranges.slice(page * RANGES_PER_PAGE, (page + 1) * RANGES_PER_PAGE),
        })
        puts.push({ do: 'put', key: keys.page(volume.name, page), value })
      }
      puts.push({ do: 'put', key: keys.head(volume.name), value: encodeValue('volume', this.headOf(volume)) })
    }
    this.etcd.transact({ compare: [], success: puts })
  }
}
