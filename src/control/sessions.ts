import type { SessionSource } from './ports.ts'
import type { SessionInfo } from './records.ts'

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
  using(volume: string, targets: ReadonlySet<string>): SessionInfo[] {
    return this.list().filter(session => {
      if (session.kind !== 'normal' || session.target === null) return false
      return session.protocol === 'nbd' ? session.target === volume : targets.has(session.target)
    })
  }

  /** False when no source has a session of this id. */
  async kick(id: string, reason: string): Promise<boolean> {
    for (const source of this.#sources) {
      if (await source.kick(id, reason)) return true
    }
    return false
  }
}
