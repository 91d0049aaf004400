import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseName, TARGET_PREFIX } from '../lib/names.ts'
import { formatSize } from '../lib/sizes.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { NO_LIMITS } from '../volume/throttle/volume-limits.ts'
import type { Catalogue } from './catalogue.ts'
import { type Clock, wallClock } from './clock.ts'
import type { NewVolume, VolumeChange } from './control.ts'
import { change, type Draft } from './draft.ts'
import type { EventSource } from './events.ts'
import { inSyncSets } from './in-sync.ts'
import {
  decodeValue,
  keys,
  type PlacementPage,
  RANGES_PER_PAGE,
  rangesOf,
  type TargetValue,
  type VolumeHead,
} from './layout.ts'
import { areNone, changedLimits, formatLimits } from './limit-rules.ts'
import { formatNbdAccess, isGuarded, type NbdAccess, parseNbdAccess } from './nbd-access.ts'
import { hostsOf, type PlaceablePeer, takingPeers } from './placement/peers.ts'
import { chooseReplication, pagesOf, placePage, REPLICAS_DEFAULT_MAX } from './placement.ts'
import type { VolumeHost } from './ports.ts'
import { BLOCK_SIZE_DEFAULT, checkVolumeSize, naaOfVolume, parseBlockSize, recordOf } from './volume-rules.ts'

/** Placement pages in one transaction; with the head, the target and an event it stays below 128. */
const PAGES_PER_TRANSACTION = 100

/** Between two attempts to undo what could not be created. */
const UNDO_AGAIN_MS = 1000

export interface VolumeOperationsOptions {
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly host: VolumeHost
  readonly events: EventSource
  readonly peerId: string
  readonly naaCompanyId: string
  readonly now: () => number
  readonly clock?: Clock
}

export function newTarget(createdAt: string, luns: TargetValue['luns'] = []): TargetValue {
  return { luns, openToAll: true, acl: [], chap: null, chapByInitiator: {}, createdAt }
}

/** The head of a volume that is ready, read in the draft. Throws ERR_VOLUME_NOT_FOUND, also while it goes. */
export async function readyHead(draft: Draft, name: string): Promise<VolumeHead> {
  const head = await draft.read('volume', keys.head(name))
  if (head === null || head.state === 'creating') {
    throw new HoldfastError('ERR_VOLUME_NOT_FOUND', `there is no volume '${name}'`)
  }
  if (head.state === 'deleting') {
    throw new HoldfastError('ERR_VOLUME_NOT_FOUND', `volume '${name}' is being deleted`)
  }
  return head
}

/** Names of the targets that have the volume as a LUN, in their order; a draft that depends on it reads them. */
export async function targetsWith(metadata: MetadataStore, volume: string): Promise<string[]> {
  const { entries } = await metadata.range(keys.targets)
  return entries
    .filter(({ key, value }) => decodeValue('target', key, value).luns.some(lun => lun.volume === volume))
    .map(({ key }) => key.slice(keys.targets.length))
}

/** What happens to volumes in the metadata, step by step, each step safe to be the last before a crash. */
export class VolumeOperations implements Disposable {
  readonly #options: VolumeOperationsOptions
  /** Uuids of what is being created here now. */
  readonly #creating = new Set<string>()
  #stopped = false

  constructor(options: VolumeOperationsOptions) {
    this.#options = options
  }

  [Symbol.dispose](): void {
    this.#stopped = true
  }

  /**
   * Entered as 'creating', placed, made durable on the bricks, and only then shown with its target. What fails
   * in between is undone, as soon as that is possible.
   */
  async create(wanted: NewVolume): Promise<void> {
    const { host, now, naaCompanyId, peerId } = this.#options
    const name = parseName('volume', wanted.name)
    const blockSizeBytes = parseBlockSize(wanted.blockSizeBytes ?? BLOCK_SIZE_DEFAULT)
    checkVolumeSize(wanted.sizeBytes, blockSizeBytes)
    const limits = wanted.limits === undefined ? NO_LIMITS : changedLimits(NO_LIMITS, wanted.limits)
    const known = takingPeers(await this.#peers())
    const peers = await this.#upOf(known)
    const away = known.filter(peer => !peers.includes(peer)).map(({ id }) => id)
    const replicas = wanted.replicas ?? Math.min(REPLICAS_DEFAULT_MAX, hostsOf(known))
    const uuid = randomUUID()
    const head: VolumeHead = {
      uuid,
      state: 'creating',
      epoch: 1,
      ...chooseReplication(hostsOf(peers), { ...wanted, replicas }, away),
      generation: 1,
      setVersion: 1,
      lossGeneration: 0,
      pending: { kind: 'create', by: peerId },
      out: [],
      sizeBytes: wanted.sizeBytes,
      blockSizeBytes,
      readOnly: wanted.readOnly ?? false,
      removable: wanted.removable ?? false,
      naa: naaOfVolume(naaCompanyId, uuid),
      createdAt: new Date(now()).toISOString(),
      ...(areNone(limits) ? {} : { limits }),
    }
    const target = wanted.target === false ? null : TARGET_PREFIX + name
    this.#creating.add(uuid)
    try {
      // Where that fails it may have been entered all the same.
      await this.#change(async draft => {
        await refuseTaken(draft, name, target)
        draft.put('volume', keys.head(name), head)
      })
      await this.#place(name, head, 0, peers)
      await host.createVolume(recordOf(name, head))
      await this.#show(name, head, target)
    } catch (error) {
      await this.#undo(name, head).catch(() => this.#undoLater(name, head))
      throw error
    } finally {
      this.#creating.delete(uuid)
    }
  }

  async set(name: string, wanted: VolumeChange): Promise<void> {
    const nbd = await this.#nbdWanted(name, wanted)
    await this.#change(async draft => {
      const head = await readyHead(draft, name)
      const readOnly = wanted.readOnly ?? head.readOnly
      const limits = changedLimits(head.limits ?? NO_LIMITS, wanted.limits ?? {})
      const changed = {
        ...head,
        readOnly,
        ...(nbd === undefined ? {} : { nbd }),
        ...(wanted.limits === undefined ? {} : { limits }),
      }
      if (JSON.stringify(changed) === JSON.stringify(head)) return
      draft.put('volume', keys.head(name), changed)
      const says = [
        ...(readOnly === head.readOnly ? [] : [readOnly ? 'read-only' : 'writable']),
        ...(nbd === undefined ? [] : [`${formatNbdAccess(nbd)} for NBD`]),
        ...(wanted.limits === undefined ? [] : [formatLimits(limits)]),
      ]
      draft.event('volume.changed', name, `volume ${name} is ${says.join(' and ')}`)
    })
  }

  /** Throws what set() refuses, and changes nothing: for whoever has more to change than that. */
  async checkSet(name: string, wanted: VolumeChange): Promise<void> {
    await this.#nbdWanted(name, wanted)
    await this.#change(async draft => {
      const { limits = NO_LIMITS } = await readyHead(draft, name)
      changedLimits(limits, wanted.limits ?? {})
    })
  }

  async #nbdWanted(name: string, wanted: VolumeChange): Promise<NbdAccess | undefined> {
    const nbd = wanted.nbd === undefined ? undefined : parseNbdAccess(wanted.nbd)
    const guard = nbd?.mode === 'open' ? await this.#guardOf(name) : null
    if (guard === null) return nbd
    const message = `volume '${name}' is behind ${guard}, which asks for more than NBD without TLS can prove: use tls`
    throw new HoldfastError('ERR_ARGUMENT_INVALID', message)
  }

  /**
   * Places what is new first, and has peers that are new to the volume get their descriptors: a size in the head has a
   * placement that can be served. Throws ERR_VOLUME_SHRINK for less, ERR_REPLICAS_UNAVAILABLE where too few could serve.
   */
  async resize(name: string, sizeBytes: number): Promise<void> {
    const { result: before } = await this.#change(async draft => {
      const head = await readyHead(draft, name)
      checkVolumeSize(sizeBytes, head.blockSizeBytes)
      refuseShrink(name, head, sizeBytes)
      return head
    })
    if (sizeBytes === before.sizeBytes) return
    const grown = { ...before, sizeBytes }
    const lastPage = pagesOf(before.sizeBytes) - 1
    const peers = await this.#upOf(await this.#peers())
    await this.#place(name, grown, lastPage, peers)
    const prepared = await this.#addReplicas(name, before, sizeBytes)
    await this.#change(async draft => {
      const head = await readyHead(draft, name)
      if (head.uuid !== before.uuid) throw new HoldfastError('ERR_METADATA_CONFLICT')
      refuseShrink(name, head, sizeBytes)
      // An owner that has moved ranges since wrote this page as it knew it: without the new ranges.
      const page = await placeRest(draft, name, { ...head, sizeBytes }, lastPage, peers, head.sizeBytes)
      const first = lastPage * RANGES_PER_PAGE
      const placed = [...page.ranges, ...(await this.#placedFrom(name, lastPage + 1, sizeBytes))]
      await this.#refuseUnprepared(name, placed.slice(rangesOf(head.sizeBytes) - first), prepared)
      this.#refuseUnserved(name, head, first, placed)
      draft.put('volume', keys.head(name), { ...head, sizeBytes })
      const sizes = `from ${formatSize(head.sizeBytes)} to ${formatSize(sizeBytes)}`
      draft.event('volume.resized', name, `volume ${name} grew ${sizes}`)
    })
  }

  /**
   * From this transaction on nobody sees the volume: it leaves all targets, and its own target goes with it.
   * Idempotent while it is being deleted. The bricks follow in finishDelete(). One that is still being created is there for
   * nobody but this, and only once nobody creates it any more.
   */
  async beginDelete(name: string): Promise<VolumeHead> {
    const { result } = await this.#change(async draft => {
      const head = await draft.read('volume', keys.head(name))
      if (head?.state === 'deleting') return head
      const isLeft = head?.state === 'creating' && (await this.#isLeftBehind(draft, head))
      const deleting: VolumeHead = {
        ...(isLeft ? head : await readyHead(draft, name)),
        state: 'deleting',
        pending: { kind: 'delete', by: this.#options.peerId },
      }
      // addLun touches the head, so no LUN of this volume can join the targets unseen until the commit.
      for (const iqn of await targetsWith(this.#options.metadata, name)) {
        const target = await draft.read('target', keys.target(iqn))
        if (target === null) continue
        const luns = target.luns.filter(lun => lun.volume !== name)
        if (luns.length === 0 && iqn === TARGET_PREFIX + name) draft.delete(keys.target(iqn))
        else draft.put('target', keys.target(iqn), { ...target, luns })
      }
      draft.put('volume', keys.head(name), deleting)
      draft.event('volume.deleting', name, `volume ${name} is being deleted`)
      return deleting
    })
    return result
  }

  /** Frees the space and forgets the volume; safe to repeat from anywhere. Nothing of it may be open here. */
  async finishDelete(name: string, head: VolumeHead, progress: (freedBytes: number) => void): Promise<void> {
    await this.#options.host.deleteVolume(recordOf(name, head), progress)
    await this.#forget(name, head, draft =>
      draft.event('volume.deleted', name, `volume ${name} was deleted and its space is free`),
    )
  }

  /** Undoes what this peer was creating when it stopped, and answers which volumes are still to be deleted. */
  async recover(): Promise<{ readonly name: string; readonly head: VolumeHead }[]> {
    const { catalogue, peerId } = this.#options
    const deleting: { name: string; head: VolumeHead }[] = []
    for (const name of catalogue.model.volumeNames) {
      const head = catalogue.model.volume(name)
      if (head?.pending?.by !== peerId) continue
      if (head.state === 'creating') await this.#undo(name, head)
      else if (head.state === 'deleting') deleting.push({ name, head })
    }
    return deleting
  }

  async #change<T>(attempt: (draft: Draft) => Promise<T>): Promise<{ result: T }> {
    const { metadata, events, catalogue } = this.#options
    const { result, revision } = await change(metadata, events, attempt)
    await catalogue.reached(revision)
    return { result }
  }

  /** Those that are up, where peers say so: a replica can be made of no others. */
  async #upOf(peers: readonly PlaceablePeer[]): Promise<PlaceablePeer[]> {
    const { metadata, peerId } = this.#options
    const { entries } = await metadata.range(keys.registrations)
    const registered = new Set(entries.map(({ key }) => key.slice(keys.registrations.length)))
    return registered.size === 0 ? [...peers] : peers.filter(({ id }) => id === peerId || registered.has(id))
  }

  async #peers(): Promise<PlaceablePeer[]> {
    const { entries } = await this.#options.metadata.range(keys.peers)
    return entries.map(({ key, value }) => ({
      id: key.slice(keys.peers.length),
      value: decodeValue('peer', key, value),
    }))
  }

  /** The first target of the volume that asks initiators for anything. */
  async #guardOf(volume: string): Promise<string | null> {
    const { model } = this.#options.catalogue
    const iqns = await targetsWith(this.#options.metadata, volume)
    return iqns.find(iqn => isGuarded(model.target(iqn)!)) ?? null
  }

  /**
   * Writes the placement from `fromPage` on, keeping that of the ranges that the volume has; in as many transactions as it
   * takes.
   */
  async #place(
    name: string,
    head: VolumeHead,
    fromPage: number,
    peers: readonly PlaceablePeer[],
  ): Promise<void> {
    const pages = pagesOf(head.sizeBytes)
    for (let first = fromPage; first < pages; first += PAGES_PER_TRANSACTION) {
      await this.#change(async draft => {
        const now = await draft.read('volume', keys.head(name))
        if (now?.uuid !== head.uuid) throw new HoldfastError('ERR_METADATA_CONFLICT')
        let isOther = false
        for (let page = first; page < Math.min(first + PAGES_PER_TRANSACTION, pages); page++) {
          const placed = await placeRest(draft, name, head, page, peers, now.sizeBytes)
          isOther ||= placed.isOther
        }
        // A resize that has counted on what was placed there has to look again.
        if (isOther) draft.put('volume', keys.head(name), now)
      })
    }
  }

  /** Answers which peers have the volume then. */
  async #addReplicas(name: string, before: VolumeHead, sizeBytes: number): Promise<Set<number>> {
    const placement = this.#options.catalogue.model.placement(name).slice(0, rangesOf(sizeBytes))
    const known = new Set(placement.slice(0, rangesOf(before.sizeBytes)).flat())
    const all = new Set(placement.flat())
    const newcomers = [...all].filter(peer => !known.has(peer))
    if (newcomers.length > 0) {
      await this.#options.host.addReplicas(recordOf(name, { ...before, sizeBytes }), newcomers)
    }
    return all
  }

  /** What the pages from this one on hold, which no owner writes before the volume has those ranges. */
  async #placedFrom(name: string, page: number, sizeBytes: number): Promise<PlacementPage['ranges']> {
    const { metadata } = this.#options
    const numbers = Array.from({ length: Math.max(0, pagesOf(sizeBytes) - page) }, (_, i) => page + i)
    const entries = await Promise.all(numbers.map(number => metadata.get(keys.page(name, number))))
    return entries
      .flatMap(entry => (entry === null ? [] : decodeValue('placement', entry.key, entry.value).ranges))
      .slice(0, Math.max(0, rangesOf(sizeBytes) - page * RANGES_PER_PAGE))
  }

  /** Another resize may have placed the new ranges otherwise meanwhile, and a peer of theirs may have been removed. */
  async #refuseUnprepared(
    name: string,
    fresh: PlacementPage['ranges'],
    prepared: ReadonlySet<number>,
  ): Promise<void> {
    const there = new Set((await this.#peers()).map(({ value }) => value.number))
    if (fresh.flat().every(peer => prepared.has(peer) && there.has(peer))) return
    const message = `the peers that volume '${name}' would grow onto have changed meanwhile: try again`
    throw new HoldfastError('ERR_METADATA_CONFLICT', message)
  }

  /**
   * A peer that is out of some ranges is out of those that are new as well: M must be left there. `placed` begins with
   * range `first`.
   */
  #refuseUnserved(name: string, head: VolumeHead, first: number, placed: PlacementPage['ranges']): void {
    const { model } = this.#options.catalogue
    const before = Array.from({ length: first }, () => [])
    const fresh = inSyncSets(head, [...before, ...placed], model).slice(rangesOf(head.sizeBytes))
    if (fresh.every(set => set.length >= head.minReplicas)) return
    const message = `too few of the peers that volume '${name}' would grow onto are in sync: try again when they are`
    throw new HoldfastError('ERR_REPLICAS_UNAVAILABLE', message)
  }

  async #show(name: string, head: VolumeHead, target: string | null): Promise<void> {
    await this.#change(async draft => {
      const now = await draft.read('volume', keys.head(name))
      if (now?.uuid !== head.uuid || now.state !== 'creating')
        throw new HoldfastError('ERR_METADATA_CONFLICT')
      draft.put('volume', keys.head(name), { ...now, state: 'ready', pending: null })
      if (target !== null) {
        await refuseTakenTarget(draft, target)
        const luns = [{ lun: 0, volume: name, readOnly: false }]
        draft.put('target', keys.target(target), newTarget(head.createdAt, luns))
      }
      draft.event('volume.created', name, `volume ${name} of ${formatSize(head.sizeBytes)} was created`)
    })
  }

  /** Who was creating it has given up, or is not there any more. */
  async #isLeftBehind(draft: Draft, { uuid, pending }: VolumeHead): Promise<boolean> {
    const { peerId } = this.#options
    if (pending === null || pending.by === peerId) return !this.#creating.has(uuid)
    return (await draft.read('registration', keys.registration(pending.by))) === null
  }

  /** Until it succeeds, or recover() does it after a restart. */
  #undoLater(name: string, head: VolumeHead): void {
    const { clock = wallClock } = this.#options
    clock.after(UNDO_AGAIN_MS, () => {
      if (!this.#stopped) this.#undo(name, head).catch(() => this.#undoLater(name, head))
    })
  }

  /** First it is settled that the volume never will be shown: #show may have committed and not told us. */
  async #undo(name: string, head: VolumeHead): Promise<void> {
    const { result: undone } = await this.#change(async draft => {
      const now = await draft.read('volume', keys.head(name))
      if (now?.uuid !== head.uuid || now.state === 'ready') return false
      draft.put('volume', keys.head(name), { ...now, state: 'deleting' })
      return true
    })
    if (!undone) return
    await this.#options.host.deleteVolume(recordOf(name, head), () => {})
    await this.#forget(name, head, () => {})
  }

  async #forget(name: string, head: VolumeHead, also: (draft: Draft) => void): Promise<void> {
    await this.#change(async draft => {
      const now = await draft.read('volume', keys.head(name))
      if (now?.uuid !== head.uuid || now.state === 'ready') return
      draft.deletePrefix(keys.volume(name))
      also(draft)
    })
  }
}

/**
 * The page for the size of `head`. Ranges of a volume of `presentBytes` stay as they are; those beyond are nobody's yet, and
 * where a resize that failed has placed them may be gone by now. `isOther`: such ones are placed otherwise.
 */
async function placeRest(
  draft: Draft,
  name: string,
  head: VolumeHead,
  page: number,
  peers: readonly PlaceablePeer[],
  presentBytes: number,
): Promise<PlacementPage & { readonly isOther: boolean }> {
  const kept = (await draft.read('placement', keys.page(name, page)))?.ranges ?? []
  const present = kept.slice(0, Math.max(0, rangesOf(presentBytes) - page * RANGES_PER_PAGE))
  const { ranges } = placePage(page, head, peers, present)
  const isSame = (at: number) => JSON.stringify(ranges[at]) === JSON.stringify(kept[at])
  const isOther = kept.slice(0, ranges.length).some((_, at) => !isSame(at))
  if (isOther || ranges.length > kept.length) {
    // Somebody else may have placed more.
    draft.put('placement', keys.page(name, page), { ranges: [...ranges, ...kept.slice(ranges.length)] })
  }
  return { ranges, isOther }
}

async function refuseTakenTarget(draft: Draft, iqn: string): Promise<void> {
  if ((await draft.read('target', keys.target(iqn))) !== null) {
    throw new HoldfastError('ERR_TARGET_EXISTS', `there is a target '${iqn}' already`)
  }
}

async function refuseTaken(draft: Draft, name: string, target: string | null): Promise<void> {
  const head = await draft.read('volume', keys.head(name))
  if (head !== null) {
    const state = { creating: 'is being created', ready: 'exists', deleting: 'is still being deleted' }
    throw new HoldfastError('ERR_VOLUME_EXISTS', `a volume '${name}' ${state[head.state]}`)
  }
  if (target !== null) await refuseTakenTarget(draft, target)
}

function refuseShrink(name: string, head: VolumeHead, sizeBytes: number): void {
  if (sizeBytes >= head.sizeBytes) return
  throw new HoldfastError(
    'ERR_VOLUME_SHRINK',
    `volume '${name}' has ${formatSize(head.sizeBytes)} and cannot be made smaller (${formatSize(sizeBytes)})`,
  )
}
