import { admitPeer } from '../../../src/cluster/admission.ts'
import { CataloguePlanner } from '../../../src/cluster/catalogue-planner.ts'
import { Catalogue } from '../../../src/control/catalogue.ts'
import { currentPlan } from '../../../src/control/cluster-view.ts'
import { EventSource } from '../../../src/control/events.ts'
import { keys, type VolumeHead } from '../../../src/control/layout.ts'
import { MinimumRaiser } from '../../../src/control/minimum-raiser.ts'
import { PeerOperations } from '../../../src/control/peer-operations.ts'
import type { Log, VolumeHost } from '../../../src/control/ports.ts'
import type { VolumeRecord } from '../../../src/control/records.ts'
import { ReplicaOperations } from '../../../src/control/replica-operations.ts'
import { VolumeOperations } from '../../../src/control/volume-operations.ts'
import { NAA_COMPANY_ID_DEFAULT } from '../../../src/control/volume-rules.ts'
import { SettledStore } from '../../../src/metadata/settled-store.ts'
import type { Replication } from '../../../src/replication/replication.ts'
import type { CopyPlanner, WantedChange } from '../../../src/replication/resync/resync-ports.ts'
import type { DaemonParts, SimPeer } from '../cluster/sim-peer.ts'
import { CLUSTER_TOKEN } from '../cluster/world.ts'

const OPEN_AGAIN_MS = 300

interface Opened {
  readonly catalogue: Catalogue
  readonly planner: CataloguePlanner
  readonly peers: PeerOperations
  readonly replicas: ReplicaOperations
  readonly volumes: VolumeOperations
}

export interface DaemonControlOptions {
  readonly parts: DaemonParts
  readonly log: Log
  readonly replication: () => Replication
  /** A head as the catalogue has it now: whoever serves clients follows its size. */
  readonly follow: (name: string, head: VolumeHead) => void
}

/** What was not answered is settled in it, as in the daemon. */
export function settledStore({ etcd, process, peer }: DaemonParts): SettledStore {
  return new SettledStore({
    store: etcd,
    attemptKey: keys.attempt(peer.peerId),
    processId: process.name,
    nowMs: () => process.bootMs(),
    sleep: ms => new Promise(resolve => process.after(ms, resolve)),
  })
}

/** What a daemon has of control, the production classes: what operators ask for, and what owners are to copy. */
export class DaemonControl implements CopyPlanner {
  readonly #options: DaemonControlOptions
  readonly #store: SettledStore
  readonly #grownTo = new Map<string, number>()
  #opened: Opened | null = null

  constructor(options: DaemonControlOptions) {
    this.#options = options
    this.#store = settledStore(options.parts)
  }

  /** An operator's commands are answered. */
  get isOpen(): boolean {
    return this.#opened !== null
  }

  /** As far as this daemon knows. */
  get someoneDrains(): boolean {
    return this.#opened?.catalogue.model.peers.some(({ value }) => value.draining === true) ?? false
  }

  /** Of ranges, as this daemon plans them. */
  get movesLeft(): number {
    return this.#opened === null ? 0 : currentPlan(this.#opened.catalogue).moves.length
  }

  async begin(): Promise<void> {
    const { process } = this.#options.parts
    for (;;) {
      try {
        return await this.#open()
      } catch {
        await new Promise<void>(resolve => process.after(OPEN_AGAIN_MS, resolve))
      }
    }
  }

  wanted(volumeUuid: string): readonly WantedChange[] {
    return this.#opened?.planner.wanted(volumeUuid) ?? []
  }

  substitute(volumeUuid: string, range: number, gone: number): number | null {
    return this.#opened?.planner.substitute(volumeUuid, range, gone) ?? null
  }

  isFull(peerNumber: number): boolean {
    return this.#opened?.planner.isFull(peerNumber) ?? false
  }

  setDraining(peer: SimPeer, draining: boolean): Promise<void> {
    return this.#opened!.peers.setDraining(peer.peerId, draining)
  }

  async admit(peer: SimPeer): Promise<void> {
    await admitPeer(this.#store, { id: peer.peerId, token: CLUSTER_TOKEN })
  }

  /** By force, whatever is placed on it. */
  remove(peer: SimPeer): Promise<void> {
    return this.#opened!.peers.remove(peer.peerId, { force: true })
  }

  setReplicas(volume: string, replicas: number): Promise<void> {
    return this.#opened!.replicas.set(volume, { replicas })
  }

  resize(volume: string, sizeBytes: number): Promise<void> {
    return this.#opened!.volumes.resize(volume, sizeBytes)
  }

  async #open(): Promise<void> {
    const { parts, log } = this.#options
    const { process, peer, world } = parts
    const metadata = this.#store
    const catalogue = await Catalogue.open(metadata, log, process)
    const common = { metadata, catalogue, events: new EventSource(() => world.loop.nowMs, `${peer.number}`) }
    const host = this.#host()
    const replicas = new ReplicaOperations({ ...common, host, awayMs: () => 0 })
    const { peerId } = peer
    this.#opened = {
      catalogue,
      planner: new CataloguePlanner(catalogue, () => process.bootMs()),
      peers: new PeerOperations(common),
      replicas,
      volumes: new VolumeOperations({
        ...common,
        host,
        peerId,
        naaCompanyId: NAA_COMPANY_ID_DEFAULT,
        now: () => world.loop.nowMs,
        clock: process,
      }),
    }
    new MinimumRaiser({ catalogue, replicas, peerId, log, clock: process })
    const follow = (names: Iterable<string>) => {
      for (const name of names) void this.#follow(catalogue, name)
    }
    catalogue.onChange(({ volumes }) => follow(volumes))
    follow(catalogue.model.volumeNames)
  }

  /** Nobody creates or deletes volumes here. */
  #host(): VolumeHost {
    const addReplicas = (record: VolumeRecord, peers: readonly number[]) =>
      this.#options.replication().createVolume({ ...record, peers })
    return { addReplicas } as Partial<VolumeHost> as VolumeHost
  }

  /** As control does it for volumes that are open: bricks first, then whoever serves them. */
  async #follow({ model }: Catalogue, name: string): Promise<void> {
    const head = model.volume(name)
    if (head === null) return
    const { uuid, sizeBytes, epoch, setVersion } = head
    if (sizeBytes > (this.#grownTo.get(name) ?? 0)) {
      this.#grownTo.set(name, sizeBytes)
      const peers = [...new Set(model.placement(name).flat())]
      await this.#options.replication().growVolume({ uuid, sizeBytes, epoch, setVersion, peers })
    }
    this.#options.follow(name, head)
  }
}
