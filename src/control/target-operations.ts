import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseIscsiName } from '../lib/names.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { checkSecretsDiffer, parseChap, withChap } from './chap-rules.ts'
import type { ChapChange } from './control.ts'
import { change, type Draft } from './draft.ts'
import type { EventSource } from './events.ts'
import { keys, type TargetValue } from './layout.ts'
import { type RightsVersions, rightsVersions, type ShutOut } from './rights-version.ts'
import { newTarget, readyHead } from './volume-operations.ts'

/** What the peripheral addressing method can say, which every initiator understands. SAM-5 §4.7.4. */
const LUN_MAX = 255
const LUNS_PER_TARGET_MAX = 256
const ACL_ENTRIES_MAX = 1024
/** In place of an initiator: everybody. */
const ACL_ALL = 'all'

export interface TargetOperationsOptions {
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly events: EventSource
  readonly now: () => number
}

type Edit = (target: TargetValue, draft: Draft) => TargetValue | Promise<TargetValue>

/** What happens to targets in the metadata; `iqn` is a parsed name everywhere. */
export class TargetOperations {
  readonly #options: TargetOperationsOptions

  constructor(options: TargetOperationsOptions) {
    this.#options = options
  }

  async create(iqn: string): Promise<void> {
    await this.#change(async draft => {
      if ((await draft.read('target', keys.target(iqn))) !== null) {
        throw new HoldfastError('ERR_TARGET_EXISTS', `there is a target '${iqn}' already`)
      }
      draft.put('target', keys.target(iqn), newTarget(new Date(this.#options.now()).toISOString()))
      draft.event('target.created', iqn, `target ${iqn} was created`)
    })
  }

  async delete(iqn: string): Promise<void> {
    await this.#change(async draft => {
      await existingTarget(draft, iqn)
      draft.delete(keys.target(iqn))
      draft.event('target.deleted', iqn, `target ${iqn} was deleted`)
    })
  }

  async addLun(iqn: string, lun: number, volume: string, readOnly: boolean): Promise<void> {
    if (!Number.isInteger(lun) || lun < 0 || lun > LUN_MAX) {
      throw new HoldfastError('ERR_ARGUMENT_INVALID', `a LUN goes from 0 to ${LUN_MAX}, not ${lun}`)
    }
    await this.#edit(iqn, `has volume ${volume} as LUN ${lun}`, async (target, draft) => {
      const head = await readyHead(draft, volume)
      // Written back unchanged so that a deletion of the volume at the same time starts over and sees us.
      draft.put('volume', keys.head(volume), head)
      refuseLun(iqn, target, lun, volume)
      const luns = [...target.luns, { lun, volume, readOnly }].sort((a, b) => a.lun - b.lun)
      return { ...target, luns }
    })
  }

  async removeLun(iqn: string, lun: number): Promise<void> {
    await this.#edit(iqn, `lost LUN ${lun}`, target => {
      const luns = target.luns.filter(entry => entry.lun !== lun)
      if (luns.length === target.luns.length) {
        throw new HoldfastError('ERR_LUN_NOT_FOUND', `target '${iqn}' has no LUN ${lun}`)
      }
      return { ...target, luns }
    })
  }

  async addAcl(iqn: string, initiator: string): Promise<void> {
    if (initiator === ACL_ALL) {
      await this.#edit(iqn, 'is open to everybody', target => ({ ...target, openToAll: true, acl: [] }))
      return
    }
    const name = parseIscsiName(initiator)
    await this.#edit(iqn, `may be used by ${name}`, target => withAclEntry(target, name))
  }

  /** An entry that is not there is no error: the end is the same. */
  async removeAcl(iqn: string, initiator: string): Promise<ShutOut> {
    const name = parseIscsiName(initiator)
    let versions: RightsVersions = new Map()
    await this.#edit(iqn, `may no longer be used by ${name}`, async (target, draft) => {
      const volumes = target.luns.map(({ volume }) => volume)
      versions = await rightsVersions(draft, volumes, target.acl.includes(name))
      return { ...target, acl: target.acl.filter(entry => entry !== name) }
    })
    return { initiator: name, targets: [iqn], versions }
  }

  async setChap(iqn: string, { initiator, ...input }: ChapChange): Promise<void> {
    const chap = parseChap(input)
    const name = initiator === undefined ? null : parseIscsiName(initiator)
    await this.#edit(iqn, `asks ${name ?? 'initiators'} for CHAP`, target => withChap(target, name, chap))
  }

  async clearChap(iqn: string, initiator: string | null): Promise<void> {
    const name = initiator === null ? null : parseIscsiName(initiator)
    await this.#edit(iqn, `has no CHAP of its own for ${name ?? 'initiators'}`, target => {
      if (name === null) return { ...target, chap: null }
      const { [name]: _gone, ...chapByInitiator } = target.chapByInitiator
      return { ...target, chapByInitiator }
    })
  }

  async setDiscoveryChap(input: Omit<ChapChange, 'initiator'>): Promise<void> {
    const chap = parseChap(input)
    checkSecretsDiffer([chap])
    await this.#change(async draft => {
      draft.put('chap', keys.discoveryChap, chap)
      draft.event('discovery.changed', 'discovery', 'discovery asks for CHAP')
    })
  }

  async clearDiscoveryChap(): Promise<void> {
    await this.#change(async draft => {
      draft.delete(keys.discoveryChap)
      draft.event('discovery.changed', 'discovery', 'discovery is open')
    })
  }

  /** Reads, edits and writes a target; an edit that changes nothing is no event. */
  async #edit(iqn: string, says: string, edit: Edit): Promise<void> {
    await this.#change(async draft => {
      const before = await existingTarget(draft, iqn)
      const after = await edit(before, draft)
      if (JSON.stringify(after) === JSON.stringify(before)) return
      draft.put('target', keys.target(iqn), after)
      draft.event('target.changed', iqn, `target ${iqn} ${says}`)
    })
  }

  async #change(attempt: (draft: Draft) => Promise<void>): Promise<void> {
    const { metadata, events, catalogue } = this.#options
    const { revision } = await change(metadata, events, attempt)
    await catalogue.reached(revision)
  }
}

/** From the first entry on only entries may log in. Throws ERR_ARGUMENT_INVALID when there are too many. */
export function withAclEntry(target: TargetValue, name: string): TargetValue {
  if (target.acl.length >= ACL_ENTRIES_MAX) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', `an ACL has at most ${ACL_ENTRIES_MAX} entries`)
  }
  return { ...target, openToAll: false, acl: [...new Set([...target.acl, name])].sort() }
}

async function existingTarget(draft: Draft, iqn: string): Promise<TargetValue> {
  const target = await draft.read('target', keys.target(iqn))
  if (target === null) throw new HoldfastError('ERR_TARGET_NOT_FOUND', `there is no target '${iqn}'`)
  return target
}

function refuseLun(iqn: string, target: TargetValue, lun: number, volume: string): void {
  const taken = target.luns.find(entry => entry.lun === lun || entry.volume === volume)
  if (taken !== undefined) {
    throw new HoldfastError(
      'ERR_LUN_EXISTS',
      `target '${iqn}' has volume '${taken.volume}' as LUN ${taken.lun}`,
    )
  }
  if (target.luns.length >= LUNS_PER_TARGET_MAX) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', `a target has at most ${LUNS_PER_TARGET_MAX} LUNs`)
  }
}
