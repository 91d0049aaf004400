import { hashToken } from '../../../src/cluster/token.ts'
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
import { ReservationJudge } from '../checker/reservation-judge.ts'
import { SanitizeJudge } from '../checker/sanitize-judge.ts'
import type { Paths } from '../clients/paths.ts'
import type { SimClient } from '../clients/sim-client.ts'
import { SimEtcd } from '../etcd/sim-etcd.ts'
import { SimNetwork } from '../network/sim-network.ts'
import { EventLoop } from '../world/event-loop.ts'
import { Random } from '../world/random.ts'
import { Tally } from '../world/tally.ts'
import { Trace } from '../world/trace.ts'
import type { Violation } from '../world/violation.ts'
import { SimPeer, type StartDaemon } from './sim-peer.ts'
import switches from './switches.json' with { type: 'json' }

/** What a seed has or has not, as switches.json says, or always, or never. */
export type Switch = keyof typeof switches
export type Switches = { readonly [name in Switch]: boolean }
export const SWITCHES = Object.keys(switches) as Switch[]
export const ALL_OFF: Switches = switched(() => false)

/** What a seed decides before anything happens. */
export interface Shape extends Switches {
  readonly peers: number
  readonly volumes: number
  readonly replicas: number
  readonly minReplicas: number
  /** Of each volume: more than 4 GiB has a second range. */
  readonly sizeBytes: number
  /** Peers that were not there when the cluster was founded. */
  readonly latePeers: number
  /** Volumes lie on so many of the peers, and must come to lie on all. */
  readonly homes: number
  /** A peer is away for longer than owners wait for it. */
  readonly absence: boolean
}

const MIB = 2 ** 20
/** As `volume create` writes it. */
const FIRST_EPOCH = 1
/** All volumes together. */
const BLOCKS_IN_USE = 64
/** The same where volumes grow: what they grow by has some too. */
const BLOCKS_AT_FIRST = 48
const CLUSTER_OF_BLOCKS = 8
const ONE_IS_ENOUGH_CHANCE = 0.08
/** The same where the layout changes. */
const ABSENCE_CHANCE = 0.3
const CROWDED_CHANCE = 0.3
/** So many ranges that some must move when there are two more peers, or one: shares may differ by four. */
const CROWDED_RANGES = 16
const CROWDED = {
  peers: 5,
  replicas: 3,
  homes: 3,
  sizeBytes: (CROWDED_RANGES - 1) * RANGE_BYTES + 16 * MIB,
} satisfies Partial<Shape>
/** Of joining the cluster. */
export const CLUSTER_TOKEN = 'a token'

/** What the seed draws, and whatever is asked for instead. */
export function shapeOf(seed: number, instead: Partial<Shape> = {}): Shape {
  const random = new Random(seed, 'shape')
  const peers = random.pick([3, 3, 4])
  const drawn = {
    ...switched(name => new Random(seed, name).chance(switches[name].chance)),
    peers,
    volumes: random.pick([1, 1, 2]),
    replicas: 3,
    minReplicas: new Random(seed, 'minimum').chance(ONE_IS_ENOUGH_CHANCE) ? 1 : 2,
    sizeBytes: random.chance(0.25) ? RANGE_BYTES + 16 * MIB : 64 * MIB,
    latePeers: 0,
    homes: peers,
    absence: false,
  }
  const shape = { ...drawn, ...((instead.layout ?? drawn.layout) ? changingShape(seed) : {}), ...instead }
  const [reservations, sessions] = [shape.gateways && shape.reservations, shape.gateways && shape.sessions]
  // Some daemons must be gateways and nothing else.
  const beside = sessions && !shape.layout ? { peers: 5, homes: 3 } : {}
  // Its blocks are all erased, which is much work for a large one.
  const sanitizes = shape.sanitizes && !shape.layout
  const small = sanitizes ? { sizeBytes: 64 * MIB } : {}
  // A backup of etcd brings back who was registered then, and what was sanitized.
  const rollback = shape.rollback && !reservations && !sanitizes
  return { ...shape, ...beside, ...small, reservations, sessions, sanitizes, rollback }
}

function switched(isOn: (name: Switch) => boolean): Switches {
  return Object.fromEntries(SWITCHES.map(name => [name, isOn(name)])) as Record<Switch, boolean>
}

/** Room for a drain, at once or when the late one has come. */
function changingShape(seed: number): Partial<Shape> {
  const random = new Random(seed, 'changing shape')
  const [peers, latePeers, replicas] = [random.pick([4, 5]), random.below(2), random.pick([2, 3, 3])]
  const absence = new Random(seed, 'absence').chance(ABSENCE_CHANCE)
  const drawn = { peers, latePeers, replicas, homes: peers - latePeers, absence, rollback: false }
  return new Random(seed, 'crowded').chance(CROWDED_CHANCE) ? { ...drawn, ...CROWDED } : drawn
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
  /** Null where nobody sanitizes. */
  readonly sanitizes: SanitizeJudge | null
  /** Null where nobody reserves anything. */
  readonly reservations: ReservationJudge | null
  readonly peers: SimPeer[] = []
  readonly volumes: TestedVolume[] = []
  readonly clients: SimClient[] = []
  /** The sessions of one host, where one has several. */
  paths: Paths | null = null
  readonly #judged: JudgedPeer[] = []
  readonly epochListeners = new Set<(volume: string) => void>()
  /** An operator takes replicas of the volume away, one unless told how many remain. */
  shrink: (volume: TestedVolume, replicas?: number) => void = () => {}
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
    this.reservations = shape.reservations ? new ReservationJudge(this.loop, this.history) : null
    this.sanitizes = shape.sanitizes ? new SanitizeJudge(this.loop, this.history, this.tally) : null
    for (let number = 1; number <= shape.peers; number++)
      this.#add(new SimPeer(this, number, number <= this.#founders, start))
    this.#writeMetadata()
    this.#makeDescriptors()
  }

  /** The peers with the smallest numbers. */
  get #founders(): number {
    return this.shape.peers - this.shape.latePeers
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
      mayRead(volume: string, epoch: number, ranges: readonly number[]) {
        const authority = peer.daemon?.authority(volume) ?? null
        if (authority === null || authority.epoch >= epoch) return false
        return authority.ranges.some(range => ranges.includes(range))
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
    const { sizeBytes, volumes, layout } = this.shape
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
    const borders = Array.from(
      { length: CROWDED_RANGES - 2 },
      (_, i) => ((i + 2) * RANGE_BYTES) / BLOCK_BYTES,
    )
    const inner = [...edges.slice(0, 6), ...borders.filter(border => border < last)]
    const clusters = (layout ? BLOCKS_AT_FIRST : BLOCKS_IN_USE) / volumes / CLUSTER_OF_BLOCKS
    const chosen = this.random.shuffled(inner).slice(0, clusters - 2)
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

  /** A volume has grown: clients use some blocks at the border that it crossed, or at its former end. */
  grown(volume: TestedVolume, sizeBytes: number): void {
    const border = Math.ceil(volume.sizeBytes / RANGE_BYTES) * RANGE_BYTES
    const middle = (border < sizeBytes ? border : volume.sizeBytes) / BLOCK_BYTES
    const blocks = Array.from({ length: CLUSTER_OF_BLOCKS }, (_, i) => middle - CLUSTER_OF_BLOCKS / 2 + i)
    volume.sizeBytes = sizeBytes
    volume.blocks = [...new Set([...volume.blocks, ...blocks])].sort((a, b) => a - b)
  }

  placementOf(volume: TestedVolume): number[][] {
    const numbers = Array.from({ length: Math.min(this.shape.homes, this.#founders) }, (_, i) => i + 1)
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
      nextPeerNumber: this.#founders + 1,
      tokenHash: hashToken(CLUSTER_TOKEN),
    }
    puts.push({ do: 'put', key: keys.cluster, value: encodeValue('cluster', cluster) })
    for (const { number, peerId, disk } of this.peers.slice(0, this.#founders)) {
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
