import type { ClientIdentity } from '../volume/client-identity.ts'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import { type RegistrantName, registrantNames } from '../volume/reservations/reservation-state.ts'
import type { OwnedVolumeHandle } from '../volume/volume-handle.ts'
import { clientKeyOf } from './client-key.ts'
import type { ForwardTask } from './forward-task.ts'

export interface OpenClient {
  readonly identity: ClientIdentity
  readonly handle: OwnedVolumeHandle
}

/** What one gateway has open at the owner of a volume. */
export class ServedGateway {
  readonly #volume: OwnedVolume
  readonly #clients = new Map<number, OpenClient>()
  /** One object per client, whatever it opens: RESERVE (6) is held by that object. */
  readonly #identities = new Map<string, ClientIdentity>()
  readonly #tasks = new Map<number, ForwardTask>()
  #lastNumber = 0

  constructor(volume: OwnedVolume) {
    this.#volume = volume
  }

  get clients(): number {
    return this.#clients.size
  }

  identity(client: ClientIdentity): ClientIdentity {
    const key = clientKeyOf(client)
    const known = this.#identities.get(key)
    if (known !== undefined) return known
    this.#identities.set(key, client)
    return client
  }

  open(client: ClientIdentity): number {
    const identity = this.identity(client)
    this.#clients.set(++this.#lastNumber, { identity, handle: this.#volume.open(identity) })
    return this.#lastNumber
  }

  /** Null: it was closed, or opened by a connection that has ended. */
  client(number: number): OpenClient | null {
    return this.#clients.get(number) ?? null
  }

  /** Takes back what has not begun, waits for the rest; the client's nexus is gone. */
  async close(number: number): Promise<void> {
    const client = this.#clients.get(number)
    if (client === undefined) return
    this.#clients.delete(number)
    this.#volume.reservations.releaseUnit(client.identity)
    const isStillThere = [...this.#clients.values()].some(({ identity }) => identity === client.identity)
    if (!isStillThere) this.#identities.delete(clientKeyOf(client.identity))
    await client.handle.close()
  }

  /** The connection has ended: the gateway opens its clients anew on the next. */
  async closeHandles(): Promise<void> {
    const handles = [...this.#clients.values()].map(({ handle }) => handle)
    this.#clients.clear()
    await Promise.all(handles.map(handle => handle.close()))
  }

  begun(task: ForwardTask): void {
    this.#tasks.set(task.tag, task)
  }

  ended(task: ForwardTask): void {
    this.#tasks.delete(task.tag)
  }

  abort(tag: number): void {
    this.#tasks.get(tag)?.abort()
  }

  /** Resolves when nothing that these registrants have sent can have an effect any more. */
  async abortTasksOf(registrants: readonly RegistrantName[]): Promise<void> {
    const victims = [...this.#tasks.values()].filter(({ client }) => {
      const names = registrantNames(client)
      return names.some(name => registrants.includes(name))
    })
    for (const victim of victims) victim.abort()
    await Promise.all(victims.map(victim => victim.whenEnded()))
  }
}
