import type { VolumeHead } from '../../../src/control/layout.ts'
import { Gateway } from '../../../src/gateway/gateway.ts'
import type { RoutedVolume } from '../../../src/gateway/routed-volume.ts'
import type { OwnedHere, Replication, ReplicationLog } from '../../../src/replication/replication.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import type { OwnedVolume } from '../../../src/volume/owned-volume.ts'
import { type RegistrantName, registrantNames } from '../../../src/volume/reservations/reservation-state.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import type { Front } from './front.ts'
import type { ClientConnection, DaemonParts } from './sim-peer.ts'
import { type StoredMetadata, storedVolumeState } from './volume-state.ts'

interface Session {
  readonly volume: string
  readonly client: ClientIdentity
  readonly handle: VolumeHandle
  readonly connection: ClientConnection
}

/** Clients come to any daemon: its gateway, the production one, serves them wherever the owner is. */
export class GatewayFront implements Front {
  readonly #parts: DaemonParts
  readonly #gateway: Gateway
  readonly #volumes = new Map<string, RoutedVolume>()
  /** By volume and client. */
  readonly #sessions = new Map<string, Session>()

  constructor(stored: StoredMetadata, log: ReplicationLog) {
    const { parts } = stored
    this.#parts = parts
    this.#gateway = new Gateway({
      network: parts.node,
      timers: parts.process,
      log,
      connections: { drop: (volume, client) => this.#drop(volume, client) },
      openState: owned => storedVolumeState(stored, owned),
      otherGateways: () => parts.world.peers.filter(peer => peer !== parts.peer).map(peer => peer.number),
      rightsVersion: () => 0,
    })
  }

  join(replication: Replication): Replication['handler'] {
    const { world } = this.#parts
    const handler = this.#gateway.start(replication)
    for (const tested of world.volumes) {
      const description = { ...world.headOf(tested), name: tested.name, naa: Buffer.alloc(16) }
      const volume = this.#gateway.open(description)
      this.#volumes.set(tested.name, volume)
      volume.reservations.listen({
        reservationNotice() {},
        abortTasksOf: registrants => this.#abortTasksOf(tested.name, registrants),
        unitReservationChanged() {},
      })
    }
    return handler
  }

  /** Its former session here, if it has one, ends first: RFC 7143 §6.3.5. */
  async login(name: string, client: ClientIdentity, connection: ClientConnection): Promise<VolumeHandle> {
    const key = `${name} ${JSON.stringify(client)}`
    for (let former = this.#sessions.get(key); former !== undefined; former = this.#sessions.get(key)) {
      this.#sessions.delete(key)
      await former.handle.close()
    }
    if (this.ownedVolume(name) === null)
      this.#parts.world.tally.add('login at a gateway that is not the owner')
    const handle = this.#volumes.get(name)!.open(client)
    this.#sessions.set(key, { volume: name, client, handle, connection })
    return handle
  }

  reserve(
    name: string,
    client: ClientIdentity,
    action: ReservationAction,
  ): Promise<'done' | ReservationRefusal> {
    return this.#volumes.get(name)!.reservations.change(client, action)
  }

  sanitize(name: string, order: SanitizeOrder): Promise<boolean> {
    return this.#volumes.get(name)!.sanitization.start(order)
  }

  follow(name: string, head: VolumeHead): void {
    this.#volumes.get(name)?.apply(head)
  }

  ownedVolume(name: string): OwnedVolume | null {
    return this.#gateway.ownedVolumes.find(volume => volume.name === name) ?? null
  }

  begin(owned: OwnedHere): Promise<void> {
    return this.#gateway.begin(owned)
  }

  changed(owned: OwnedHere): void {
    this.#gateway.changed(owned)
  }

  lost(owned: OwnedHere): void {
    this.#gateway.lost(owned)
  }

  end(owned: OwnedHere): Promise<void> {
    return this.#gateway.end(owned)
  }

  async #abortTasksOf(volume: string, registrants: readonly RegistrantName[]): Promise<void> {
    const victims = [...this.#sessions.values()].filter(
      session =>
        session.volume === volume && registrantNames(session.client).some(name => registrants.includes(name)),
    )
    await Promise.all(victims.map(({ connection }) => connection.abortTasks()))
  }

  #drop(volume: string, client: ClientIdentity): void {
    for (const [key, session] of this.#sessions) {
      if (session.volume !== volume || !isSameWriter(session.client, client)) continue
      this.#sessions.delete(key)
      this.#parts.world.tally.add('client connection closed by its gateway')
      session.connection.drop()
      void session.handle.close()
    }
  }
}

/** PROTOCOL rule 17: an initiator by its name, all of NBD as one. */
function isSameWriter(a: ClientIdentity, b: ClientIdentity): boolean {
  if (a.protocol === 'iscsi' && b.protocol === 'iscsi') return a.initiatorName === b.initiatorName
  return a.protocol === b.protocol
}
