/** Marks of the workload, one JSON line each, in the record among the writes that they speak of. */
export type Mark =
  | { readonly mark: 'create'; readonly volume: number; readonly uuid: string; readonly sizeBytes: number }
  | { readonly mark: 'grown'; readonly volume: number; readonly sizeBytes: number }
  | { readonly mark: 'created' | 'delete' | 'deleted'; readonly volume: number }
  | {
      readonly mark: 'begin'
      readonly id: number
      readonly volume: number
      readonly kind: 'write' | 'trim' | 'zero' | 'free' | 'flush'
      readonly offsetBytes: number
      readonly lengthBytes: number
      readonly fua: boolean
      /** Whole or not at all. */
      readonly atomic?: boolean
      /** That its regions are stamped with, at least; absent where they may carry no stamp. */
      readonly generation?: number
      /** Of what another brick has: its stamp need be found after a power cut only once it was flushed. */
      readonly copied?: boolean
    }
  | { readonly mark: 'done'; readonly id: number; readonly status: number }
  /** What is durable of a volume's descriptor from here on. */
  | {
      readonly mark: 'descriptor'
      readonly volume: number
      readonly epoch: number
      readonly setVersion: number
    }
  /** The brick is opened, being closed, closed cleanly; what follows began on the disk of a crash. */
  | { readonly mark: 'opened' | 'close' | 'closed' | 'crashed' }
  /** Read after a crash, and so fixed: [block, id of the operation or 0]. */
  | {
      readonly mark: 'found'
      readonly volume: number
      readonly blocks: readonly (readonly [number, number])[]
    }

const NEVER = Number.POSITIVE_INFINITY
const BLOCK_BYTES = 4096

export interface PastOperation {
  readonly id: number
  readonly generation: number
  readonly copied: boolean
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly writes: boolean
  readonly atomic: boolean
  readonly beganAt: number
  doneAt: number
  /** When a flush, a FUA or a clean stop that covers it was acknowledged. */
  durableAt: number
}

export interface PastVolume {
  readonly number: number
  readonly uuid: string
  /** What the volume's size surely was from each position on. */
  readonly sizes: { readonly at: number; readonly sizeBytes: number }[]
  readonly createAt: number
  createdAt: number
  deleteAt: number
  deletedAt: number
  /** By block: the operations that touched it, in the order that their submitter gave them. */
  readonly blocks: Map<number, PastOperation[]>
  readonly operations: PastOperation[]
  /** When orders to free everything began. */
  readonly freesBegan: number[]
  readonly descriptors: { readonly at: number; readonly epoch: number; readonly setVersion: number }[]
}

/** What a reader may find in a block: the ids of whole writes, 0 for zeroes. */
export type Allowed = ReadonlySet<number>

/** What happened in a run, and so what each block may be after a crash at any position of its record. */
export class History {
  readonly volumes: PastVolume[] = []
  #flushes = new Map<number, { readonly volume: number; readonly beganAt: number }>()
  #open = new Map<number, { readonly volume: PastVolume; readonly operation: PastOperation; fua: boolean }>()
  #closeAt = 0

  /** `at`: the position in the record of the entry that carries the mark. */
  add(mark: Mark, at: number): void {
    switch (mark.mark) {
      case 'create':
        this.volumes[mark.volume] = {
          number: mark.volume,
          uuid: mark.uuid,
          sizes: [{ at, sizeBytes: mark.sizeBytes }],
          createAt: at,
          createdAt: NEVER,
          deleteAt: NEVER,
          deletedAt: NEVER,
          blocks: new Map(),
          operations: [],
          freesBegan: [],
          descriptors: [],
        }
        return
      case 'created':
        this.volumes[mark.volume]!.createdAt = at
        return
      case 'grown':
        this.volumes[mark.volume]!.sizes.push({ at, sizeBytes: mark.sizeBytes })
        return
      case 'delete':
        this.volumes[mark.volume]!.deleteAt = at
        return
      case 'deleted':
        this.volumes[mark.volume]!.deletedAt = at
        return
      case 'descriptor':
        this.volumes[mark.volume]!.descriptors.push({ at, epoch: mark.epoch, setVersion: mark.setVersion })
        return
      case 'begin':
        return this.#begin(mark, at)
      case 'done':
        return this.#done(mark.id, mark.status, at)
      case 'close':
        this.#closeAt = at
        return
      case 'closed':
        for (const volume of this.volumes) settle(volume, this.#closeAt, at)
        return
      case 'opened':
        return
      case 'crashed':
        for (const volume of this.volumes) forget(volume)
        return
      case 'found':
        for (const [block, id] of mark.blocks) {
          const [offsetBytes, lengthBytes] = [block * BLOCK_BYTES, BLOCK_BYTES]
          const when = { beganAt: at, doneAt: at, durableAt: at }
          const found = { id, writes: id !== 0, atomic: false, copied: false, generation: 0, ...when }
          this.volumes[mark.volume]!.blocks.get(block)!.push({ ...found, offsetBytes, lengthBytes })
        }
        return
    }
  }

  /** After a power cut: the newest durable state, or anything begun since. */
  allowedAfterPowerCut(operations: readonly PastOperation[], cut: number): Allowed {
    return allowed(operations, cut, operation => operation.durableAt)
  }

  /** After a kill: the newest acknowledged state, or what was in flight. */
  allowedAfterKill(operations: readonly PastOperation[], cut: number): Allowed {
    return allowed(operations, cut, operation => operation.doneAt)
  }

  #begin(mark: Mark & { mark: 'begin' }, at: number): void {
    const volume = this.volumes[mark.volume]!
    if (mark.kind === 'flush') {
      this.#flushes.set(mark.id, { volume: mark.volume, beganAt: at })
      return
    }
    const operation: PastOperation = {
      id: mark.id,
      generation: mark.generation ?? 0,
      copied: mark.copied ?? false,
      offsetBytes: mark.offsetBytes,
      lengthBytes: mark.lengthBytes,
      writes: mark.kind === 'write',
      atomic: mark.atomic ?? false,
      beganAt: at,
      doneAt: NEVER,
      durableAt: NEVER,
    }
    volume.operations.push(operation)
    this.#open.set(mark.id, { volume, operation, fua: mark.fua })
    if (mark.kind === 'free') {
      volume.freesBegan.push(at)
      for (const touched of volume.blocks.values()) touched.push(operation)
    }
    const first = mark.offsetBytes / BLOCK_BYTES
    for (let block = first; block < first + mark.lengthBytes / BLOCK_BYTES; block++) {
      const touched = volume.blocks.get(block)
      if (touched === undefined) volume.blocks.set(block, [operation])
      else touched.push(operation)
    }
  }

  #done(id: number, status: number, at: number): void {
    if (status !== 0) throw new Error(`operation ${id} of the workload failed with status ${status}`)
    const flush = this.#flushes.get(id)
    if (flush !== undefined) {
      settle(this.volumes[flush.volume]!, flush.beganAt, at)
      return
    }
    const open = this.#open.get(id)!
    open.operation.doneAt = at
    if (open.fua) open.operation.durableAt = at
    this.#open.delete(id)
  }
}

/** What was not durable is no longer acknowledged: no later flush can cover it. */
function forget(volume: PastVolume): void {
  for (const operation of volume.operations) {
    if (operation.durableAt === NEVER) operation.doneAt = NEVER
  }
}

function settle(volume: PastVolume, beganAt: number, at: number): void {
  for (const operation of volume.operations) {
    if (operation.doneAt < beganAt && operation.durableAt > at) operation.durableAt = at
  }
}

function allowed(
  operations: readonly PastOperation[],
  cut: number,
  surely: (operation: PastOperation) => number,
): Allowed {
  const values = new Set<number>()
  for (let last = operations.length - 1; last >= 0; last--) {
    const operation = operations[last]!
    if (operation.beganAt >= cut) continue
    values.add(operation.writes ? operation.id : 0)
    if (surely(operation) < cut) return values
  }
  return values.add(0)
}
