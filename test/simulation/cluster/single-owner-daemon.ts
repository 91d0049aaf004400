import { BlockKind, type BlockOperation } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type { VolumeExtents } from '../../../src/store/brick.ts'
import { OwnedVolume } from '../../../src/volume/owned-volume.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { BLOCK_BYTES } from '../brick/volume-image.ts'
import type { Daemon, DaemonParts } from './sim-peer.ts'
import { plainVolumeState } from './volume-state.ts'

/** Bugs that the checker must find in a store so simple that nothing else can be wrong with it. */
export type PlantedBug =
  | 'none'
  | 'staleRead'
  | 'lostWrite'
  | 'flushIsEmpty'
  | 'wrongBlock'
  | 'zeroesForUnknown'

/** Every so many operations a planted bug shows. */
const BUG_EVERY = 97

/**
 * No replication at all: the first peer serves every volume from its own brick. It tells whether the models and the
 * checker are fit before anything hard is judged by them.
 */
export function singleOwnerDaemon(bug: PlantedBug): (parts: DaemonParts) => Daemon {
  return parts => new SingleOwnerDaemon(parts, bug)
}

class SingleOwnerDaemon implements Daemon {
  readonly counts = {}
  readonly control = null
  readonly #parts: DaemonParts
  readonly #bug: PlantedBug
  readonly #volumes = new Map<string, Promise<OwnedVolume>>()
  readonly #handles = new Map<string, VolumeHandle>()

  constructor(parts: DaemonParts, bug: PlantedBug) {
    this.#parts = parts
    this.#bug = bug
  }

  async login(name: string, client: Parameters<OwnedVolume['open']>[0]): Promise<VolumeHandle> {
    if (this.#parts.peer.number !== 1) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    let volume = this.#volumes.get(name)
    if (volume === undefined) {
      volume = this.#open(name)
      this.#volumes.set(name, volume)
    }
    const owned = await volume
    const key = JSON.stringify(client)
    await this.#handles.get(key)?.close()
    const handle = owned.open(client)
    this.#handles.set(key, handle)
    return handle
  }

  reserve(): Promise<never> {
    return Promise.reject(new HoldfastError('ERR_BLOCK_UNAVAILABLE'))
  }

  async sanitize(): Promise<boolean> {
    return false
  }

  isSanitizing(): boolean {
    return false
  }

  async clearSegments(name: string, quietMs: number): Promise<void> {
    const volume = await this.#volumes.get(name)
    await volume?.segments.clearQuiet(this.#parts.process.bootMs() - quietMs)
  }

  servedBytes(): null {
    return null
  }

  authority(): null {
    return null
  }

  async release(): Promise<void> {}

  async stop(): Promise<void> {}

  async #open(name: string): Promise<OwnedVolume> {
    const { brick, world, process } = this.#parts
    const tested = world.volumes.find(volume => volume.name === name)!
    const description = { ...world.headOf(tested), name, naa: Buffer.alloc(16) }
    const { uuid, sizeBytes } = tested
    const extents = await brick.createVolume({ uuid, sizeBytes, epoch: 1, setVersion: 1 })
    extents.standsAlone = true
    if (extents.generation === 0) extents.generation = 1
    await extents.trustSegments(extents.suspectSegments())
    const planted = this.#bug === 'none' ? extents : plant(extents, this.#bug)
    world.judge.owns(name, 1, process.machine.name, [0])
    return new OwnedVolume(description, planted, plainVolumeState())
  }
}

/** The extents with one thing wrong, now and then. */
function plant(extents: VolumeExtents, bug: PlantedBug): VolumeExtents {
  let count = 0
  const isDue = () => ++count % BUG_EVERY === 0
  const done = (operation: BlockOperation) => {
    operation.status = BlockStatus.ok
    setImmediate(() => operation.completion.blockDone(operation))
  }
  const older = new Map<number, Buffer>()
  const overrides: Partial<VolumeExtents> = {
    readNow: (offsetBytes, lengthBytes, into, at) => {
      const status = extents.readNow(offsetBytes, lengthBytes, into, at)
      if (status === BlockStatus.ok && bug === 'staleRead' && isDue()) older.get(offsetBytes)?.copy(into, at)
      return status
    },
    writeNow: (offsetBytes, lengthBytes, from, at) => {
      if (bug === 'staleRead') {
        const before = Buffer.alloc(BLOCK_BYTES)
        if (extents.readNow(offsetBytes, BLOCK_BYTES, before, 0) === BlockStatus.ok)
          older.set(offsetBytes, before)
      }
      if (bug === 'lostWrite' && isDue()) return BlockStatus.ok
      if (bug === 'wrongBlock' && isDue())
        return extents.writeNow(Math.max(0, offsetBytes - BLOCK_BYTES), lengthBytes, from, at)
      return extents.writeNow(offsetBytes, lengthBytes, from, at)
    },
    submit: operation => {
      if (bug === 'flushIsEmpty' && operation.kind === BlockKind.flush) return done(operation)
      if (bug === 'zeroesForUnknown' && operation.kind === BlockKind.read && isDue()) {
        operation.data.fill(0, operation.dataAt, operation.dataAt + operation.lengthBytes)
        return done(operation)
      }
      extents.submit(operation)
    },
  }
  return new Proxy(extents, {
    get: (target, key) => {
      const replaced = overrides[key as keyof VolumeExtents]
      if (replaced !== undefined) return replaced
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  })
}
