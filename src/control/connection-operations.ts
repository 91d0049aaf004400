import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseIscsiName, TARGET_PREFIX } from '../lib/names.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { withChap } from './chap-rules.ts'
import type { Grant } from './connection-properties.ts'
import { change, type Draft } from './draft.ts'
import type { EventSource } from './events.ts'
import { keys, type TargetValue } from './layout.ts'
import type { ChapRecord } from './records.ts'
import { rightsVersions, type ShutOut } from './rights-version.ts'
import { withAclEntry } from './target-operations.ts'
import { newTarget, readyHead, targetsWith } from './volume-operations.ts'

/** 12 random bytes are 16 characters: the 96 bits of RFC 7143 §9.2.1, and no more than Windows takes. */
const CREDENTIAL_BYTES = 12

export interface ConnectionOperationsOptions {
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly events: EventSource
  readonly now: () => number
  readonly randomBytes: (lengthBytes: number) => Buffer
}

interface TargetOfVolume {
  readonly iqn: string
  readonly value: TargetValue
}

/** Connections of single initiators to single volumes: an ACL entry with CHAP of its own, made and taken together. */
export class ConnectionOperations {
  readonly #options: ConnectionOperationsOptions

  constructor(options: ConnectionOperationsOptions) {
    this.#options = options
  }

  /**
   * Lets `initiator` at `volume`, with credentials made here; again, it answers what it answered before. Throws
   * ERR_TARGET_SHARED when only a target with other volumes has it, and ERR_CHAP_EXISTS when an operator has
   * set the initiator's CHAP: that secret is not ours to show.
   */
  async grant(volume: string, initiator: string): Promise<Grant> {
    const name = parseIscsiName(initiator)
    return this.#change(async draft => {
      const head = await readyHead(draft, volume)
      const { iqn, value } = await this.#targetFor(draft, volume)
      const known = ownEntry(value.chapByInitiator, name)
      if (known !== undefined && known.generated !== true) {
        throw new HoldfastError('ERR_CHAP_EXISTS', `target '${iqn}' has CHAP of its own for ${name} already`)
      }
      const chap = known ?? this.#newChap()
      const { lun, readOnly } = value.luns[0]!
      if (known === undefined || !value.acl.includes(name)) {
        // Written back unchanged so that a deletion of the volume at the same time starts over and sees us.
        draft.put('volume', keys.head(volume), head)
        draft.put('target', keys.target(iqn), withChap(withAclEntry(value, name), name, chap))
        draft.event('connection.made', volume, `${name} may use volume ${volume} as LUN ${lun} of ${iqn}`)
      }
      return { volumeUuid: head.uuid, iqn, lun, readOnly: head.readOnly || readOnly, chap }
    })
  }

  /** Takes back what grant() gave, wherever it is. */
  async revoke(volume: string, initiator: string): Promise<ShutOut> {
    const name = parseIscsiName(initiator)
    return this.#change(async draft => {
      await readyHead(draft, volume)
      const targets: string[] = []
      const reached: string[] = []
      let isLost = false
      for (const { iqn, value } of await this.#targetsOf(draft, volume)) {
        const { [name]: chap, ...others } = value.chapByInitiator
        // What an operator entered for a target of several volumes is about those too.
        if (value.luns.length > 1 && chap?.generated !== true) continue
        targets.push(iqn)
        reached.push(...value.luns.map(entry => entry.volume))
        const acl = value.acl.filter(entry => entry !== name)
        if (chap === undefined && acl.length === value.acl.length) continue
        draft.put('target', keys.target(iqn), { ...value, acl, chapByInitiator: others })
        isLost = true
        draft.event('connection.ended', volume, `${name} may no longer use volume ${volume} through ${iqn}`)
      }
      return { initiator: name, targets, versions: await rightsVersions(draft, reached, isLost) }
    })
  }

  /** A target that has this volume and nothing else, its own one first; made where there is none. */
  async #targetFor(draft: Draft, volume: string): Promise<TargetOfVolume> {
    const own = TARGET_PREFIX + volume
    const targets = await this.#targetsOf(draft, volume)
    const alone = targets.filter(({ value }) => value.luns.length === 1)
    const found = alone.find(({ iqn }) => iqn === own) ?? alone[0]
    if (found !== undefined) return found
    if ((await draft.read('target', keys.target(own))) !== null) {
      throw new HoldfastError(
        'ERR_TARGET_SHARED',
        `volume '${volume}' has no target to itself: whoever may use ${own} may use its other volumes`,
      )
    }
    const luns = [{ lun: 0, volume, readOnly: false }]
    return { iqn: own, value: newTarget(new Date(this.#options.now()).toISOString(), luns) }
  }

  /** Read in the draft, in the order of their names. */
  async #targetsOf(draft: Draft, volume: string): Promise<TargetOfVolume[]> {
    const found: TargetOfVolume[] = []
    for (const iqn of await targetsWith(this.#options.metadata, volume)) {
      const value = await draft.read('target', keys.target(iqn))
      if (value?.luns.some(lun => lun.volume === volume)) found.push({ iqn, value })
    }
    return found
  }

  #newChap(): ChapRecord {
    const text = () => this.#options.randomBytes(CREDENTIAL_BYTES).toString('base64url')
    return { user: text(), secret: text(), generated: true }
  }

  async #change<T>(attempt: (draft: Draft) => Promise<T>): Promise<T> {
    const { metadata, events, catalogue } = this.#options
    const { result, revision } = await change(metadata, events, attempt)
    await catalogue.reached(revision)
    return result
  }
}

/** An initiator's name comes from outside: 'constructor' must not find anything. */
function ownEntry(entries: TargetValue['chapByInitiator'], name: string): ChapRecord | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined
}
