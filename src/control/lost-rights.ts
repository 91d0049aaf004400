import type { Catalogue } from './catalogue.ts'
import type { TargetValue } from './layout.ts'
import type { Log } from './ports.ts'
import type { SessionInfo } from './records.ts'
import type { Sessions } from './sessions.ts'

export interface LostRightsOptions {
  readonly catalogue: Catalogue
  readonly sessions: Sessions
  readonly log: Log
}

/**
 * Ends the sessions here of initiators that were taken off an ACL, and those to targets that are gone, whichever
 * gateway was asked to. One that was let in again meanwhile has other credentials by then: its old sessions end too.
 */
export class LostRights implements Disposable {
  readonly #options: LostRightsOptions
  readonly #targets = new Map<string, TargetValue>()
  readonly #stop: () => void

  constructor(options: LostRightsOptions) {
    this.#options = options
    const { model } = options.catalogue
    for (const iqn of model.targetNames) this.#targets.set(iqn, model.target(iqn)!)
    this.#stop = options.catalogue.onChange(({ targets }) => {
      for (const iqn of targets) this.#look(iqn, options.catalogue.model.target(iqn))
    })
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  #look(iqn: string, target: TargetValue | null): void {
    const before = this.#targets.get(iqn)
    if (target === null) this.#targets.delete(iqn)
    else this.#targets.set(iqn, target)
    if (before === undefined || target?.openToAll === true) return
    const { sessions } = this.#options
    if (target === null) return this.#end(sessions.ofTarget(iqn), `target ${iqn} is gone`)
    for (const initiator of before.acl.filter(name => hasLost(name, before, target))) {
      this.#end(sessions.ofInitiator(initiator, [iqn]), `${initiator} was taken off the ACL of ${iqn}`)
    }
  }

  #end(theirs: readonly SessionInfo[], reason: string): void {
    const { sessions, log } = this.#options
    sessions
      .kickAll(theirs, reason)
      .catch(err => log.error({ reason, err }, 'sessions without rights do not end'))
  }
}

function hasLost(initiator: string, before: TargetValue, now: TargetValue): boolean {
  if (!now.acl.includes(initiator)) return true
  const generated = before.chapByInitiator[initiator]
  return generated?.generated === true && now.chapByInitiator[initiator]?.user !== generated.user
}
