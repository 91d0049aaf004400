import type { BlockExtent } from '../../src/block/block-device.ts'
import { BlockKind, type BlockOperation } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import type { VolumeExtents } from '../../src/store/brick.ts'

/** Extents in memory for tests: optionally never inline, with each operation held until it is let go. */
export class MemoryExtents implements VolumeExtents {
  readonly bytes: Buffer
  generation = 1
  failedAtBytes = 0
  usedBytes = 0
  /** Answer wouldBlock to every *Now call. */
  neverInline = false
  /** Keep submitted operations until release() is called. */
  holdBack = false
  readonly held: BlockOperation[] = []
  readonly log: string[] = []
  /** How every write ends instead of being done. */
  failure: BlockStatus | null = null
  /** Byte offsets of blocks that fail their checksum. */
  readonly badBlocks = new Set<number>()
  /** Told of as holes; whole extents that are asked for. */
  readonly holes: { readonly startBytes: number; readonly endBytes: number }[] = []
  quiet: number[] = []
  readonly cleared: number[] = []

  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes)
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    if (this.neverInline) return BlockStatus.wouldBlock
    return this.#read(offsetBytes, lengthBytes, into, at)
  }

  writeNow(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): BlockStatus {
    if (this.neverInline) return BlockStatus.wouldBlock
    from.copy(this.bytes, offsetBytes, at, at + lengthBytes)
    return BlockStatus.ok
  }

  submit(operation: BlockOperation): void {
    this.log.push(`${operation.kind}@${operation.offsetBytes}+${operation.lengthBytes}`)
    if (this.holdBack) this.held.push(operation)
    else setImmediate(() => this.#finish(operation))
  }

  /** Applies and completes the oldest held operation. */
  release(): void {
    const operation = this.held.shift()
    if (operation !== undefined) this.#finish(operation)
  }

  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    const endBytes = offsetBytes + lengthBytes
    const isHole = this.holes.some(hole => hole.startBytes <= offsetBytes && hole.endBytes >= endBytes)
    return Promise.resolve([{ offsetBytes, lengthBytes, mapped: !isHole }])
  }

  quietSegments(_quietSinceMs: number, atMost: number): number[] {
    return this.quiet.slice(0, atMost)
  }

  clearSegments(segments: readonly number[]): Promise<void> {
    this.cleared.push(...segments)
    return Promise.resolve()
  }

  #read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    for (let block = offsetBytes; block < offsetBytes + lengthBytes; block += 4096) {
      if (!this.badBlocks.has(block)) continue
      this.failedAtBytes = block
      return BlockStatus.mediumError
    }
    this.bytes.copy(into, at, offsetBytes, offsetBytes + lengthBytes)
    return BlockStatus.ok
  }

  #finish(operation: BlockOperation): void {
    const { kind, offsetBytes, lengthBytes, data, dataAt } = operation
    operation.status = kind === BlockKind.write && this.failure !== null ? this.failure : BlockStatus.ok
    if (operation.status !== BlockStatus.ok) return operation.completion.blockDone(operation)
    if (kind === BlockKind.read) {
      operation.status = this.#read(offsetBytes, lengthBytes, data, dataAt)
      operation.failedAtBytes = this.failedAtBytes
    }
    if (kind === BlockKind.write || kind === BlockKind.writeAtomic)
      data.copy(this.bytes, offsetBytes, dataAt, dataAt + lengthBytes)
    if (kind === BlockKind.trim || kind === BlockKind.zero)
      this.bytes.fill(0, offsetBytes, offsetBytes + lengthBytes)
    operation.completion.blockDone(operation)
  }
}
