import type { Model } from '../control/model.ts'
import type { OtherDaemons } from '../control/ports.ts'
import type { Sessions } from '../control/sessions.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { inTime } from '../gateway/in-time.ts'
import { ask } from '../gateway/remote-port.ts'
import type { SessionInfo } from '../lib/session-info.ts'
import {
  type IncomingRequest,
  type PeerNetwork,
  type PeerRequestHandler,
  PeerRequestKind,
  PeerStatus,
} from '../replication/peer-network.ts'
import type { ReplicaStore } from '../replication/replica-store.ts'
import type { Timers } from '../replication/timers.ts'
import { linksUp } from './links-up.ts'

/** A control request to a daemon itself; older ones refuse it. */
type DaemonQuestion =
  /** Answered with at most SESSIONS_AT_ONCE sessions, those after the first `after`. */
  | { readonly what: 'daemonQuestion'; readonly ask: 'sessions'; readonly after: number }
  /** Answered with pairs of a volume's uuid and what a brick here holds of it. */
  | { readonly what: 'daemonQuestion'; readonly ask: 'used' }
  /** Answered with the initiator of the session, null when there is none. */
  | { readonly what: 'daemonQuestion'; readonly ask: 'kick'; readonly id: string; readonly reason: string }

/** An answer has to fit into a frame; a session takes a kilobyte at most. */
const SESSIONS_AT_ONCE = 4000
/** Somebody waits for the list: who is not connected to by then, or hangs, is left out. */
const LIST_MS_MAX = 1000
/** A little more than what the daemon asked waits for a session's I/O. */
const KICK_MS_MAX = 35_000

export interface DaemonQuestionsOptions {
  /** Of the first peer of this process, where clients come. */
  readonly network: PeerNetwork
  readonly timers: Timers
  /** As the catalogue has it now: it is another one after each reload. */
  readonly model: () => Model
  /** Names of the peers of this process. */
  readonly own: ReadonlySet<string>
  /** The bricks of this process. */
  readonly stores: readonly Pick<ReplicaStore, 'volumes' | 'volume'>[]
  /** How long a list may take; 1 s. */
  readonly listMs?: number
}

/** What the daemons of a cluster tell each other when somebody asks: their sessions, and what their bricks hold. */
export class DaemonQuestions implements OtherDaemons {
  /** Set once clients can come. */
  here: Sessions | null = null
  readonly #options: DaemonQuestionsOptions

  constructor(options: DaemonQuestionsOptions) {
    this.#options = options
  }

  /** The handler that answers these questions, and leaves everything else to `handler`. */
  answering(handler: PeerRequestHandler): PeerRequestHandler {
    return {
      received: request => {
        const question = request.kind === PeerRequestKind.control ? asQuestion(request.body) : null
        if (question === null) handler.received(request)
        else void this.#answer(request, question)
      },
      connected: (from, connection) => handler.connected(from, connection),
      disconnected: (from, connection) => handler.disconnected(from, connection),
    }
  }

  async sessions() {
    const ofPeers = new Map<string, readonly SessionInfo[]>()
    const silent: string[] = []
    const { timers, listMs = LIST_MS_MAX } = this.#options
    const asked = this.#others().map(async ({ id, number }) => {
      try {
        ofPeers.set(id, await inTime(this.#sessionsOf(number), timers, listMs))
      } catch {
        silent.push(id)
      }
    })
    await Promise.all(asked)
    return { ofPeers, silent: silent.sort() }
  }

  async usedOnBricks() {
    const used = new Map<string, number[]>()
    const { timers, listMs = LIST_MS_MAX } = this.#options
    const asked = this.#others().map(async ({ number }) => {
      const pairs = this.#ask(number, { what: 'daemonQuestion', ask: 'used' }) as Promise<[string, number][]>
      for (const [uuid, bytes] of await inTime(pairs, timers, listMs).catch(() => []))
        used.set(uuid, [...(used.get(uuid) ?? []), bytes])
    })
    await Promise.all(asked)
    return used
  }

  async kick(peer: string, id: string, reason: string): Promise<string | null> {
    const known = this.#others().find(other => other.id === peer)
    if (known === undefined) {
      throw new HoldfastError('ERR_SESSION_NOT_FOUND', `there is no daemon of a peer '${peer}' now`)
    }
    const answered = this.#ask(known.number, { what: 'daemonQuestion', ask: 'kick', id, reason })
    try {
      return (await inTime(answered, this.#options.timers, KICK_MS_MAX)) as string | null
    } catch (cause) {
      const why = `the daemon of peer '${peer}' does not say that the session has ended: try again`
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', why, { cause })
    }
  }

  #used(): [string, number][] {
    return this.#options.stores.flatMap(store =>
      store.volumes().map((uuid): [string, number] => [uuid, store.volume(uuid)?.usedBytes ?? 0]),
    )
  }

  /** Peers of other processes that are up and serve clients. */
  #others(): { readonly id: string; readonly number: number }[] {
    const { own } = this.#options
    const model = this.#options.model()
    return model.peers.flatMap(({ id, value }) => {
      const registration = own.has(id) ? null : model.registration(id)
      const hasClients = registration !== null && registration.portals.length + registration.nbd.length > 0
      return hasClients ? [{ id, number: value.number }] : []
    })
  }

  async #sessionsOf(number: number): Promise<SessionInfo[]> {
    const sessions: SessionInfo[] = []
    for (;;) {
      const after = sessions.length
      const some = (await this.#ask(number, {
        what: 'daemonQuestion',
        ask: 'sessions',
        after,
      })) as SessionInfo[]
      sessions.push(...some)
      if (some.length < SESSIONS_AT_ONCE) return sessions
    }
  }

  async #ask(number: number, question: DaemonQuestion): Promise<unknown> {
    const { network, listMs = LIST_MS_MAX } = this.#options
    await linksUp(network, [number], listMs)
    return ask(network.link(number), '', question)
  }

  async #answer(request: IncomingRequest, question: DaemonQuestion): Promise<void> {
    request.keep()
    try {
      request.reply(0, { body: await this.#says(question) })
    } catch (error) {
      const { code, message } = error instanceof HoldfastError ? error : new HoldfastError('ERR_INTERNAL')
      request.reply(PeerStatus.refused, { body: { code, message } })
    }
  }

  async #says(question: DaemonQuestion): Promise<unknown> {
    if (question.ask === 'used') return this.#used()
    if (this.here === null) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the daemon is starting')
    if (question.ask === 'kick') return this.here.kickOne(question.id, question.reason)
    return this.here.list().slice(question.after, question.after + SESSIONS_AT_ONCE)
  }
}

const QUESTIONS: readonly unknown[] = ['sessions', 'used', 'kick']

function asQuestion(body: unknown): DaemonQuestion | null {
  const { what, ask: asked } = (body ?? {}) as { what?: unknown; ask?: unknown }
  return what === 'daemonQuestion' && QUESTIONS.includes(asked) ? (body as DaemonQuestion) : null
}
