import type { Catalogue } from './catalogue.ts'
import type { TargetValue } from './layout.ts'
import type { Log } from './ports.ts'
import type { Sessions } from './sessions.ts'

export interface LostRightsOptions {
  readonly catalogue: Catalogue
  readonly sessions: Sessions
  readonly log: Log
}

/**
 * Ends the sessions here of initiators that were taken off an ACL, whichever gateway was asked to. One that was let
 * in again meanwhile has other credentials by then, and its old sessions end as well.
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
    const { sessions, log } = this.#options
    for (const initiator of before.acl.filter(name => hasLost(name, before, target))) {
      const theirs = sessions.ofInitiator(initiator, [iqn])
      sessions.kickAll(theirs, `${initiator} was taken off the ACL of ${iqn}`).catch(err => {
        log.error({ target: iqn, initiator, err }, 'sessions without rights do not end')
      })
    }
  }
}

function hasLost(initiator: string, before: TargetValue, now: TargetValue | null): boolean {
  if (now?.acl.includes(initiator) !== true) return true
  const generated = before.chapByInitiator[initiator]
  return generated?.generated === true && now.chapByInitiator[initiator]?.user !== generated.user
}
