import { HoldfastError } from '../errors/holdfast-error.ts'
import type { OtherDaemons } from './ports.ts'
import type { SessionInfo } from './records.ts'
import type { Sessions } from './sessions.ts'

/** A session wherever it is; its id names the peer too, like `iscsi-3@peer-a`. */
export interface ClusterSession extends SessionInfo {
  readonly peer: string
}

export interface SessionsShown {
  readonly sessions: readonly ClusterSession[]
  /** Peers that are up and did not say in time which they have. */
  readonly silent: readonly string[]
}

export const nobodyElse: OtherDaemons = {
  sessions: async () => ({ ofPeers: new Map(), silent: [] }),
  usedOnBricks: async () => new Map(),
  kick: async peer => {
    throw new HoldfastError('ERR_SESSION_NOT_FOUND', `there is no other daemon that is called '${peer}'`)
  },
}

/** The sessions of all daemons of the cluster: whichever is asked tells the same. */
export class ClusterSessions {
  readonly #here: Sessions
  readonly #others: OtherDaemons
  readonly #peerId: string

  constructor(here: Sessions, others: OtherDaemons, peerId: string) {
    this.#here = here
    this.#others = others
    this.#peerId = peerId
  }

  async list(): Promise<SessionsShown> {
    const { ofPeers, silent } = await this.#others.sessions()
    const elsewhere = [...ofPeers].flatMap(([peer, sessions]) => sessions.map(session => at(peer, session)))
    const sessions = [...this.#here.list().map(session => at(this.#peerId, session)), ...elsewhere]
    return { sessions: sessions.sort((a, b) => (a.peer < b.peer ? -1 : Number(a.peer > b.peer))), silent }
  }

  /**
   * Ends one, by its id here or in the whole cluster, and answers its initiator. Throws ERR_SESSION_NOT_FOUND, or
   * ERR_BLOCK_UNAVAILABLE when the daemon that has it does not answer.
   */
  async kick(id: string, reason: string): Promise<string> {
    const end = id.lastIndexOf('@')
    const peer = end < 0 ? this.#peerId : id.slice(end + 1)
    const idThere = end < 0 ? id : id.slice(0, end)
    const initiator =
      peer === this.#peerId
        ? await this.#here.kickOne(idThere, reason)
        : await this.#others.kick(peer, idThere, reason)
    if (initiator === null) throw new HoldfastError('ERR_SESSION_NOT_FOUND', `there is no session '${id}'`)
    return initiator
  }
}

function at(peer: string, session: SessionInfo): ClusterSession {
  return { ...session, id: `${session.id}@${peer}`, peer }
}
