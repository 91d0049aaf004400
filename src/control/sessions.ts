import { HoldfastError } from '../errors/holdfast-error.ts'
import { normalizeIscsiName } from '../lib/names.ts'
import type { SessionSource } from './ports.ts'
import type { SessionInfo } from './records.ts'

/** A disk may take its time over what a session has in flight; whoever asks is told to ask again. */
const KICK_MS_MAX = 30_000

/** The sessions of every protocol that is served here. */
export class Sessions {
  readonly #sources: SessionSource[] = []

  add(source: SessionSource): void {
    this.#sources.push(source)
  }

  list(): SessionInfo[] {
    return this.#sources.flatMap(source => [...source.sessions()])
  }

  /** Sessions that can reach the volume: through one of the targets, or by its own name (NBD exports). */
  using(volume: string, targets: ReadonlySet<string>, among: readonly SessionInfo[]): SessionInfo[] {
    return among.filter(session => {
      if (session.kind !== 'normal' || session.target === null) return false
      return session.protocol === 'nbd' ? session.target === volume : targets.has(session.target)
    })
  }

  ofTarget(iqn: string): SessionInfo[] {
    return this.list().filter(({ protocol, target }) => protocol === 'iscsi' && target === iqn)
  }

  /** `name` as normalizeIscsiName has it; sessions carry it as it was sent. */
  ofInitiator(name: string, targets: readonly string[]): SessionInfo[] {
    return this.list().filter(
      ({ target, initiator }) =>
        target !== null && targets.includes(target) && normalizeIscsiName(initiator) === name,
    )
  }

  /** Resolves when nothing of them is in flight; throws ERR_BLOCK_UNAVAILABLE when that takes over 30 s. */
  async kickAll(sessions: readonly SessionInfo[], reason: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const error = new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'sessions that are being ended still write')
      timer = setTimeout(() => reject(error), KICK_MS_MAX)
    })
    const ended = Promise.all(sessions.map(session => this.kick(session.id, reason)))
    await Promise.race([ended, late]).finally(() => clearTimeout(timer))
  }

  /** The initiator of the session that was ended, null when there is none of this id. */
  async kickOne(id: string, reason: string): Promise<string | null> {
    const session = this.list().find(one => one.id === id)
    return session !== undefined && (await this.kick(id, reason)) ? session.initiator : null
  }

  /** False when no source has a session of this id. */
  async kick(id: string, reason: string): Promise<boolean> {
    for (const source of this.#sources) {
      if (await source.kick(id, reason)) return true
    }
    return false
  }
}
