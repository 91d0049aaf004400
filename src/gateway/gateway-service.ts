import { HoldfastError } from '../errors/holdfast-error.ts'
import {
  type IncomingRequest,
  type PeerIdentity,
  type PeerRequestHandler,
  PeerRequestKind,
  PeerStatus,
} from '../replication/peer-network.ts'
import type { ReplicationLog } from '../replication/replication.ts'
import type { Timers } from '../replication/timers.ts'
import { asClientIdentity } from './client-key.ts'
import { ForwardTask } from './forward-task.ts'
import { ATTACH_WAIT_MS } from './limits.ts'
import {
  asGatewayBody,
  type GatewayBody,
  type GatewayCall,
  type GatewayEvent,
  OWNER_CALLS,
  type OwnerEvent,
} from './messages.ts'
import type { OwnedService } from './owned-service.ts'

/** Forwarded operations kept for the next use. */
const IDLE_TASKS_MAX = 1024

export interface GatewayServiceOptions {
  readonly log: ReplicationLog
  readonly timers: Timers
  /** What a gateway's requests are not for: the replicas of this daemon. */
  readonly replicas: PeerRequestHandler
  /** An owner's event for a volume that is served here. */
  readonly event: (volume: string, epoch: number, event: OwnerEvent) => Promise<void>
  /** Names of the clients that have the volume open here. */
  readonly users: (volume: string) => readonly string[]
}

/**
 * What other daemons' gateways ask of the volumes that are owned here, and what owners tell the gateway here; all
 * else goes on to the replicas.
 */
export class GatewayService implements PeerRequestHandler {
  readonly #options: GatewayServiceOptions
  /** By volume uuid. */
  readonly #services = new Map<string, OwnedService>()
  /** The newest connection of each peer, by its small number: what comes by an older one is too late. PROTOCOL rule 3. */
  readonly #newest = new Map<number, { readonly incarnation: string; readonly connection: number }>()
  /** By volume uuid: gateways that asked before it was served. */
  readonly #attaching = new Map<string, Set<() => void>>()
  readonly #idle: ForwardTask[] = []
  readonly #recycle = (task: ForwardTask): void => {
    if (this.#idle.length < IDLE_TASKS_MAX) this.#idle.push(task)
  }

  constructor(options: GatewayServiceOptions) {
    this.#options = options
  }

  add(service: OwnedService): void {
    this.#services.set(service.uuid, service)
    for (const wake of this.#attaching.get(service.uuid) ?? []) wake()
  }

  remove(service: OwnedService): void {
    if (this.#services.get(service.uuid) === service) this.#services.delete(service.uuid)
  }

  get owned(): Iterable<OwnedService> {
    return this.#services.values()
  }

  find(uuid: string): OwnedService | null {
    return this.#services.get(uuid) ?? null
  }

  received(request: IncomingRequest): void {
    if (request.kind === PeerRequestKind.forward) return this.#forward(request)
    const body = request.kind === PeerRequestKind.control ? asGatewayBody(request.body) : null
    if (body === null) this.#options.replicas.received(request)
    else if (this.#isNewest(request)) void this.#answer(request, body)
    else request.reply(PeerStatus.lost)
  }

  connected(from: PeerIdentity, connection: number): Promise<void> {
    this.#newest.set(from.peerNumber, { incarnation: from.incarnation, connection })
    return this.#options.replicas.connected(from, connection)
  }

  disconnected(from: PeerIdentity, connection: number): void {
    for (const service of this.#services.values()) service.disconnected(from.peerNumber)
    this.#options.replicas.disconnected(from, connection)
  }

  #forward(request: IncomingRequest): void {
    const service = this.#services.get(request.volume)
    if (!this.#isNewest(request)) return request.reply(PeerStatus.lost)
    if (service === undefined || service.epoch !== request.epoch) return request.reply(PeerStatus.notOwner)
    const task = this.#idle.pop() ?? new ForwardTask(this.#recycle)
    task.run(request, service)
  }

  #isNewest({ from, connection }: IncomingRequest): boolean {
    const newest = this.#newest.get(from.peerNumber)
    return newest?.connection === connection && newest.incarnation === from.incarnation
  }

  async #answer(request: IncomingRequest, body: GatewayBody): Promise<void> {
    const { volume } = request
    try {
      const says = await this.#carryOut(request, body)
      request.reply(0, { body: says ?? null })
    } catch (error) {
      if (!(error instanceof HoldfastError))
        this.#options.log.error({ volume, err: error }, 'a gateway was not answered')
      const { code, message } = error instanceof HoldfastError ? error : new HoldfastError('ERR_INTERNAL')
      request.reply(PeerStatus.refused, { body: { code, message } })
    }
  }

  #carryOut(request: IncomingRequest, body: GatewayBody): unknown {
    if (body.what === 'gatewayCall') return this.#call(request, body)
    return body.what === 'gatewayEvent' ? this.#tell(request, body) : this.#options.users(request.volume)
  }

  async #call({ volume, from }: IncomingRequest, { call, args }: GatewayCall): Promise<unknown> {
    const service = call === 'attach' ? await this.#whenServed(volume) : this.#services.get(volume)
    if (service === undefined)
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the volume is owned elsewhere')
    if (!OWNER_CALLS.includes(call) || !Array.isArray(args)) throw new HoldfastError('ERR_ARGUMENT_INVALID')
    const isAboutClient = CLIENT_CALLS.includes(call)
    if (isAboutClient && asClientIdentity(args[0]) === null) throw new HoldfastError('ERR_ARGUMENT_INVALID')
    const method = service.portFor(from.peerNumber)[call] as (...args: unknown[]) => Promise<unknown>
    return method(...args)
  }

  /** The owner's name is known before it serves: gateways that came back all the time would keep it from that. */
  #whenServed(uuid: string): Promise<OwnedService | undefined> {
    if (this.#services.has(uuid)) return Promise.resolve(this.#services.get(uuid))
    return new Promise(resolve => {
      const waiting = this.#attaching.get(uuid) ?? new Set()
      this.#attaching.set(uuid, waiting)
      const wake = () => {
        timer.cancel()
        waiting.delete(wake)
        if (waiting.size === 0) this.#attaching.delete(uuid)
        resolve(this.#services.get(uuid))
      }
      const timer = this.#options.timers.after(ATTACH_WAIT_MS, wake)
      waiting.add(wake)
    })
  }

  async #tell({ volume }: IncomingRequest, { epoch, event }: GatewayEvent): Promise<null> {
    await this.#options.event(volume, epoch, event)
    return null
  }
}

const CLIENT_CALLS: readonly GatewayCall['call'][] = ['openClient', 'reserve', 'reserveUnit', 'releaseUnit']
