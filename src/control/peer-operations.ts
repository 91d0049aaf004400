import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { change, type Draft } from './draft.ts'
import type { EventSource } from './events.ts'
import { keys, type PeerValue, rangesOf } from './layout.ts'

export interface PeerOperationsOptions {
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly events: EventSource
}

/** What operators do to peers, in the metadata. */
export class PeerOperations {
  readonly #options: PeerOperationsOptions

  constructor(options: PeerOperationsOptions) {
    this.#options = options
  }

  /** A draining peer gets nothing new, and what it has is moved away. Idempotent. */
  async setDraining(id: string, draining: boolean): Promise<void> {
    await this.#change(async draft => {
      const peer = await readPeer(draft, id)
      if ((peer.draining ?? false) === draining) return
      draft.put('peer', keys.peer(id), { ...peer, draining })
      const says = draining ? `peer ${id} is being drained` : `peer ${id} takes part again`
      draft.event(draining ? 'peer.draining' : 'peer.undrained', id, says)
    })
  }

  /**
   * Forgets a peer that is down. Refused with ERR_PEER_BUSY while it is up, and while ranges are placed on it
   * unless `force`: these are then made anew elsewhere from what is left of them. Its number stays known: else what it
   * is out of could not be told from what it is in sync with.
   */
  async remove(id: string, { force }: { force: boolean }): Promise<void> {
    await this.#change(async draft => {
      const peer = await readPeer(draft, id)
      if ((await draft.read('registration', keys.registration(id))) !== null) {
        throw new HoldfastError('ERR_PEER_BUSY', `peer '${id}' is up: stop its daemon first`)
      }
      const ranges = this.rangesOn(peer.number)
      if (ranges > 0 && !force) {
        const message = `peer '${id}' holds ${ranges} range(s): drain it first, or use --force if it is lost`
        throw new HoldfastError('ERR_PEER_BUSY', message)
      }
      draft.delete(keys.peer(id))
      const { number, brick } = peer
      draft.put('gonePeer', keys.gonePeer(id), { number, ...(brick === undefined ? {} : { brick }) })
      draft.event('peer.removed', id, `peer ${id} was removed${ranges > 0 ? ` with ${ranges} range(s)` : ''}`)
    })
  }

  /**
   * How many ranges of all volumes are placed on the peer of this number; not what is placed for a size that a volume has not
   * come to have yet, which a resize looks at again before it ends.
   */
  rangesOn(number: number): number {
    const { model } = this.#options.catalogue
    let ranges = 0
    for (const name of model.volumeNames) {
      const placement = model.placement(name).slice(0, rangesOf(model.volume(name)!.sizeBytes))
      for (const peers of placement) if (peers.includes(number)) ranges++
    }
    return ranges
  }

  async #change(attempt: (draft: Draft) => Promise<void>): Promise<void> {
    const { metadata, events, catalogue } = this.#options
    const { revision } = await change(metadata, events, attempt)
    await catalogue.reached(revision)
  }
}

async function readPeer(draft: Draft, id: string): Promise<PeerValue> {
  const peer = await draft.read('peer', keys.peer(id))
  if (peer === null) throw new HoldfastError('ERR_PEER_NOT_FOUND', `there is no peer '${id}'`)
  return peer
}
