import { invariant } from '../lib/invariant.ts'
import type { PeerLink, PeerNetwork, PeerRequestHandler } from '../replication/peer-network.ts'
import type { OwnedHere, Replication, ReplicationLog, VolumeServer } from '../replication/replication.ts'
import type { Timers } from '../replication/timers.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import { OwnedVolume, type VolumeState } from '../volume/owned-volume.ts'
import { GatewayService } from './gateway-service.ts'
import { inTime } from './in-time.ts'
import { defaultGatewayLimits, type GatewayLimits, TELL_MS, TRY_AGAIN_MS } from './limits.ts'
import type { GatewayEvent, OwnerEvent } from './messages.ts'
import { OwnedService } from './owned-service.ts'
import { ask, remotePort } from './remote-port.ts'
import type { Route } from './route.ts'
import { type RoutedDescription, RoutedVolume } from './routed-volume.ts'

/** Whoever has the clients' connections. */
export interface ClientConnections {
  /**
   * Closes at once, without reading what is still in them: of this initiator those to targets that have the volume, or
   * all of NBD's to it. PROTOCOL rule 17.
   */
  drop(volume: string, client: ClientIdentity): void
}

export interface GatewayOptions {
  readonly network: PeerNetwork
  readonly timers: Timers
  readonly log: ReplicationLog
  readonly connections: ClientConnections
  /** Small numbers of the other daemons that are up and may have clients. */
  readonly otherGateways: () => readonly number[]
  /** Of the volume's head, as it is known here: whoever had lost its right by then has no session here any more. */
  readonly rightsVersion: (volume: string) => number
  /** Reservations, sanitizing and space of a volume that begins to be owned here, loaded. PROTOCOL rule 19. */
  readonly openState: (volume: OwnedHere) => Promise<VolumeState>
  readonly limits?: Partial<GatewayLimits>
}

/** What the gateway asks of replication: who owns a volume. */
export type Ownerships = Pick<Replication, 'owner' | 'onOwnerChange' | 'want' | 'unwant' | 'handler'>

/**
 * The gateway of one daemon: serves every volume to the clients that come here, and the volumes that this daemon owns
 * to the clients of every gateway. Made before the replication, which it is the server of; start() joins the two.
 */
export class Gateway implements VolumeServer {
  readonly #options: GatewayOptions
  readonly #limits: GatewayLimits
  readonly #self: number
  /** By name; and by uuid, since that is what peers call them. */
  readonly #volumes = new Map<string, RoutedVolume>()
  readonly #byUuid = new Map<string, RoutedVolume>()
  readonly #watchedPeers = new Set<number>()
  #service: GatewayService | null = null
  #ownerships: Ownerships | null = null

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#limits = { ...defaultGatewayLimits, ...options.limits }
    this.#self = options.network.self.peerNumber
  }

  /** Answers the handler for PeerNetwork.serve(): requests of gateways end here, all others at the replicas. */
  start(ownerships: Ownerships): PeerRequestHandler {
    invariant(this.#service === null, 'a gateway starts once')
    this.#ownerships = ownerships
    this.#service = new GatewayService({
      log: this.#options.log,
      timers: this.#options.timers,
      replicas: ownerships.handler,
      users: uuid => this.#byUuid.get(uuid)?.users ?? [],
      event: async (uuid, epoch, event) => this.#byUuid.get(uuid)?.ownerEvent(epoch, event),
    })
    ownerships.onOwnerChange(name => this.#volumes.get(name)?.routeChanged())
    return this.#service
  }

  /** The volume as this gateway serves it, from now until its close(). */
  open(description: RoutedDescription): RoutedVolume {
    const { name, uuid } = description
    invariant(!this.#volumes.has(name), 'a volume is opened once')
    const volume = new RoutedVolume({
      description,
      self: this.#self,
      timers: this.#options.timers,
      limits: this.#limits,
      route: () => this.#routeOf(name, uuid),
      drop: client => this.#options.connections.drop(name, client),
      rightsVersion: () => this.#options.rightsVersion(name),
      usersElsewhere: () => this.#usersElsewhere(uuid),
      used: isUsed => (isUsed ? this.#ownerships?.want(name) : this.#ownerships?.unwant(name)),
      closed: () => {
        this.#volumes.delete(name)
        this.#byUuid.delete(uuid)
      },
    })
    this.#volumes.set(name, volume)
    this.#byUuid.set(uuid, volume)
    return volume
  }

  /** The volumes that are owned here now. */
  get ownedVolumes(): OwnedVolume[] {
    return [...(this.#service?.owned ?? [])].map(({ volume }) => volume)
  }

  // VolumeServer.

  async begin(owned: OwnedHere): Promise<void> {
    const state = await this.#options.openState(owned)
    const { name, uuid, head, sizeBytes, extents, queue } = owned
    const { naa, blockSizeBytes, readOnly, removable } = head
    const description = {
      name,
      uuid,
      naa: Buffer.from(naa, 'hex'),
      blockSizeBytes,
      sizeBytes,
      readOnly,
      removable,
    }
    const volume = new OwnedVolume(description, extents, state, queue)
    const service = new OwnedService({
      owned,
      volume,
      timers: this.#options.timers,
      limits: this.#limits,
      tell: (gateway, event) => this.#tell(gateway, uuid, owned.epoch, event),
    })
    this.#service!.add(service)
    state.sanitization.resume(client => volume.open(client))
    this.#volumes.get(name)?.routeChanged()
  }

  changed(owned: OwnedHere): void {
    this.#serviceOf(owned)?.changed(owned)
  }

  lost(owned: OwnedHere): void {
    this.#serviceOf(owned)?.lost(owned)
  }

  async end(owned: OwnedHere): Promise<void> {
    const service = this.#serviceOf(owned)
    if (service === null) return
    this.#service!.remove(service)
    this.#volumes.get(owned.name)?.routeChanged()
    await service.close()
  }

  #serviceOf({ uuid, epoch }: OwnedHere): OwnedService | null {
    const service = this.#service!.find(uuid)
    return service?.epoch === epoch ? service : null
  }

  #routeOf(name: string, uuid: string): Route | null {
    const service = this.#service?.find(uuid) ?? null
    if (service !== null) return { is: 'local', port: service.portFor(this.#self), service }
    const owner = this.#ownerships?.owner(name) ?? null
    if (owner === null || owner.number === this.#self) return null
    const link = this.#options.network.link(owner.number)
    this.#watch(owner.number)
    if (!link.isUp) return null
    return { is: 'remote', port: remotePort(link, uuid), link, connection: link.connection }
  }

  /** Ways to owners come and go with the links. */
  #watch(peerNumber: number): void {
    if (this.#watchedPeers.has(peerNumber)) return
    this.#watchedPeers.add(peerNumber)
    this.#options.network.link(peerNumber).onChange(() => {
      for (const volume of this.#volumes.values()) volume.routeChanged()
    })
  }

  async #usersElsewhere(uuid: string): Promise<string[]> {
    const { network, otherGateways, timers } = this.#options
    const answers = otherGateways().map(number => {
      const answered = ask(network.link(number), uuid, { what: 'gatewayQuestion' })
      return inTime(answered, timers, TELL_MS) as Promise<string[]>
    })
    return [...new Set((await Promise.all(answers)).flat())]
  }

  /** As OwnedServiceOptions.tell: whoever is not waited for is told all the same, as long as it is tried. */
  async #tell(gateway: number, uuid: string, epoch: number, event: () => OwnerEvent): Promise<void> {
    if (gateway === this.#self) return this.#byUuid.get(uuid)?.ownerEvent(epoch, event())
    await new Promise<void>(resolve => {
      const unreached = () => {
        if (!this.#isAwaited(gateway, event())) resolve()
      }
      void this.#tryToTell(gateway, uuid, epoch, event, unreached).then(resolve)
    })
  }

  /**
   * Whether a gateway that has not been reached is worth waiting for: one that is up may still hand over what it has
   * of the clients whose commands are taken back. The state it learns when it comes back and attaches, and until then
   * the owner refuses what it has handed over before.
   */
  #isAwaited(gateway: number, { is }: OwnerEvent): boolean {
    return is === 'abortTasks' && this.#options.otherGateways().includes(gateway)
  }

  async #tryToTell(
    gateway: number,
    uuid: string,
    epoch: number,
    event: () => OwnerEvent,
    unreached: () => void,
  ): Promise<void> {
    const body = (): GatewayEvent => ({ what: 'gatewayEvent', epoch, event: event() })
    const link = this.#options.network.link(gateway)
    const { timers } = this.#options
    const untilMs = timers.bootMs() + TELL_MS
    // One that cannot be reached asks anew when it comes back; until then its operations are refused by number.
    while (this.#service!.find(uuid)?.epoch === epoch && timers.bootMs() < untilMs) {
      if (link.isUp && (await isAnswered(ask(link, uuid, body())))) return
      unreached()
      // A thousand volumes that ask a dead gateway again and again would keep each other from being served.
      if (!link.isUp) await linkUp(link, timers, untilMs - timers.bootMs())
      else await new Promise<void>(resolve => void timers.after(TRY_AGAIN_MS, resolve))
    }
  }
}

/** Resolves when the link is up, or after so long. */
function linkUp(link: PeerLink, timers: Timers, withinMs: number): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      timer.cancel()
      stop()
      resolve()
    }
    const timer = timers.after(withinMs, done)
    const stop = link.onChange(() => {
      if (link.isUp) done()
    })
  })
}

function isAnswered(asked: Promise<unknown>): Promise<boolean> {
  return asked.then(
    () => true,
    () => false,
  )
}
