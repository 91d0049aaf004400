import path from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { committed, DURABLE_LMDB, mayBeLmdb } from '../lib/durable-lmdb.ts'
import { invariant } from '../lib/invariant.ts'
import { RANGE_BYTES } from './layout.ts'
import type { ReplicaDescriptor } from './replica-store.ts'
import { syncDirectory } from './superblock.ts'

/** Bytes of address space for LMDB's map: keys of 16 TiB of slots take about 40 MiB. */
const MAP_BYTES = 4 * 1024 ** 3
/** There is one layer until snapshots come; keys name it from format 1 on. */
export const LIVE_LAYER = 0

export interface BrickRecord {
  readonly openCounter: number
  /** Boot under which every segment was last wholly trusted; empty when it never was. */
  readonly trustedBootId: string
  /** Set by a clean stop, taken off durably by the next open. */
  readonly cleanStop: boolean
}

export interface VolumeDescriptor extends ReplicaDescriptor {
  readonly sizeBytes: number
  readonly deleting: boolean
}

export interface SlotOwner {
  readonly volume: string
  readonly layer: number
  readonly extent: number
  readonly slot: number
}

type Key = (string | number)[]
const NEW_BRICK: BrickRecord = { openCounter: 0, trustedBootId: '', cleanStop: false }

/**
 * What the brick holds, in LMDB under meta/: every call that changes something resolves when it is durable.
 * Keys: [brick] · [volume, uuid] · [range, uuid, n] · [slot, uuid, layer, extent] · [freed, slot].
 */
export class Catalogue {
  readonly #db: RootDatabase<unknown, Key>

  constructor(directory: string) {
    const meta = path.join(directory, 'meta')
    if (!mayBeLmdb(meta)) throw new HoldfastError('ERR_BRICK_DAMAGED', `${meta}/data.mdb is not a database`)
    this.#db = open<unknown, Key>({
      path: meta,
      mapSize: MAP_BYTES,
      ...DURABLE_LMDB,
      strictAsyncOrder: true,
    })
    // LMDB makes its file's content durable, not its name.
    for (const made of [meta, directory]) syncDirectory(made)
  }

  brick(): BrickRecord {
    return (this.#db.get(['brick']) as BrickRecord | undefined) ?? NEW_BRICK
  }

  async putBrick(change: Partial<BrickRecord>): Promise<void> {
    await this.#commit(() => {
      void this.#db.put(['brick'], { ...this.brick(), ...change })
    })
  }

  volumes(): [uuid: string, VolumeDescriptor][] {
    const range = this.#db.getRange({ start: ['volume', ''], end: ['volume', '\uffff'] })
    return [...range].map(({ key, value }) => [String(key[1]), value as VolumeDescriptor])
  }

  volume(uuid: string): VolumeDescriptor | undefined {
    return this.#db.get(['volume', uuid]) as VolumeDescriptor | undefined
  }

  /** The volume and its range descriptors, in one transaction. Epochs never fall. */
  async putVolume(uuid: string, volume: Omit<VolumeDescriptor, 'deleting'>): Promise<void> {
    await this.#commit(() => {
      const before = this.volume(uuid)
      if (before?.deleting) {
        throw new HoldfastError('ERR_VOLUME_BUSY', `volume ${uuid} is being deleted from this brick`)
      }
      // Of two that come at once the larger one stays, whichever is first.
      const sizeBytes = Math.max(volume.sizeBytes, before?.sizeBytes ?? 0)
      const epoch = Math.max(volume.epoch, before?.epoch ?? 0)
      const setVersion = Math.max(volume.setVersion, before?.setVersion ?? 0)
      const kept = before?.epoch === epoch ? before : {}
      const descriptor = { ...kept, sizeBytes, epoch, setVersion, deleting: false }
      void this.#db.put(['volume', uuid], descriptor)
      for (let range = 0; range * RANGE_BYTES < sizeBytes; range++) {
        void this.#db.put(['range', uuid, range], { epoch, setVersion })
      }
    })
  }

  /** What a fence or a set change leaves behind, in one small transaction. Neither number may fall. */
  async putDescriptor(uuid: string, descriptor: ReplicaDescriptor): Promise<void> {
    const { epoch, setVersion } = descriptor
    await this.#commit(() => {
      const before = this.volume(uuid)
      if (before === undefined || before.deleting) throw unknownVolume(uuid)
      invariant(epoch >= before.epoch && setVersion >= before.setVersion, 'a descriptor never falls behind')
      void this.#db.put(['volume', uuid], { sizeBytes: before.sizeBytes, deleting: false, ...descriptor })
    })
  }

  /** From here on the volume is unknown; its slots stay taken until they are freed one by one. */
  async markDeleting(uuid: string): Promise<void> {
    await this.#commit(() => {
      const volume = this.volume(uuid)
      if (volume === undefined) return
      void this.#db.put(['volume', uuid], { ...volume, deleting: true })
      for (const key of this.#db.getKeys({ start: ['range', uuid], end: ['range', uuid, Infinity] })) {
        void this.#db.remove(key)
      }
    })
  }

  async removeVolume(uuid: string): Promise<void> {
    await committed(this.#db.remove(['volume', uuid]))
  }

  *slots(): Generator<SlotOwner> {
    for (const { key, value } of this.#db.getRange({ start: ['slot', ''], end: ['slot', '\uffff'] })) {
      const [, volume, layer, extent] = key as [string, string, number, number]
      yield { volume, layer, extent, slot: value as number }
    }
  }

  async putSlot(owner: SlotOwner): Promise<void> {
    await committed(this.#db.put(['slot', owner.volume, owner.layer, owner.extent], owner.slot))
  }

  /** Takes slots from their volume: durably nobody's, and not to be used before forgetFreed(). */
  async freeSlots(owners: readonly SlotOwner[]): Promise<void> {
    await this.#commit(() => {
      for (const { volume, layer, extent, slot } of owners) {
        void this.#db.remove(['slot', volume, layer, extent])
        void this.#db.put(['freed', slot], true)
      }
    })
  }

  freedSlots(): number[] {
    return [...this.#db.getKeys({ start: ['freed', 0], end: ['freed', Infinity] })].map(key => Number(key[1]))
  }

  /** The slots are punched, durably. */
  async forgetFreed(slots: readonly number[]): Promise<void> {
    await this.#commit(() => {
      for (const slot of slots) void this.#db.remove(['freed', slot])
    })
  }

  async close(): Promise<void> {
    await this.#db.close()
  }

  #commit(change: () => void): Promise<void> {
    return committed(this.#db.transaction(change))
  }
}

function unknownVolume(uuid: string): HoldfastError {
  return new HoldfastError('ERR_VOLUME_NOT_FOUND', `this brick has no descriptor of volume ${uuid}`)
}
