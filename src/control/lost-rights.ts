import type { Catalogue } from './catalogue.ts'
import type { TargetValue } from './layout.ts'
import type { Log } from './ports.ts'
import type { Sessions } from './sessions.ts'

export interface LostRightsOptions {
  readonly catalogue: Catalogue
  readonly sessions: Sessions
  readonly log: Log
}

/** Ends the sessions here of initiators that were taken off an ACL, whichever gateway was asked to. */
export class LostRights implements Disposable {
  readonly #options: LostRightsOptions
  readonly #acls = new Map<string, readonly string[]>()
  readonly #stop: () => void

  constructor(options: LostRightsOptions) {
    this.#options = options
    const { model } = options.catalogue
    for (const iqn of model.targetNames) this.#acls.set(iqn, model.target(iqn)!.acl)
    this.#stop = options.catalogue.onChange(({ targets }) => {
      for (const iqn of targets) this.#look(iqn, options.catalogue.model.target(iqn))
    })
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  #look(iqn: string, target: TargetValue | null): void {
    const before = this.#acls.get(iqn) ?? []
    if (target === null) this.#acls.delete(iqn)
    else this.#acls.set(iqn, target.acl)
    if (target?.openToAll === true) return
    const { sessions, log } = this.#options
    for (const initiator of before.filter(name => target?.acl.includes(name) !== true)) {
      const theirs = sessions.ofInitiator(initiator, [iqn])
      sessions.kickAll(theirs, `${initiator} was taken off the ACL of ${iqn}`).catch(err => {
        log.error({ target: iqn, initiator, err }, 'sessions without rights do not end')
      })
    }
  }
}
