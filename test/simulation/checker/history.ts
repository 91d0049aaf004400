import { GARBAGE, SECTOR_BYTES, sectorValue } from './content.ts'
import { type CellOperation, findContradiction } from './linearizability.ts'

const NEVER = Number.POSITIVE_INFINITY

export type ClientOperationKind =
  | 'read'
  | 'look'
  | 'write'
  | 'writeAtomic'
  | 'trim'
  | 'zero'
  | 'compareAndWrite'
  | 'flush'

/** What a client asked, and what it was told. */
export interface ClientOperation {
  readonly id: number
  readonly kind: ClientOperationKind
  readonly client: string
  /** The I_T nexus that it went by, as reservations name it; empty for what cannot be registered. */
  nexus: string
  readonly volume: number
  readonly firstSector: number
  readonly sectors: number
  /** What the sectors hold afterwards; 0 for zeroes. */
  readonly value: number
  /** The write is durable before it is acknowledged. */
  readonly fua: boolean
  /** compareAndWrite: per sector, what must be there. */
  readonly expected: readonly number[]
  readonly invokedMs: number
  respondedMs: number
  outcome: 'pending' | 'ok' | 'refused' | 'unknown'
  /** Since then it must not begin to count any more: its client was fenced, or has logged in anew. */
  closedMs: number
  /** Read: the values found. Look: 0 where nothing is mapped, which reads as zeroes, else UNSEEN. */
  found: readonly number[]
}

/** Of a sector that a look has only found to be mapped. */
export const UNSEEN = -1

interface MutableCell {
  readonly writes: ClientOperation[]
  readonly reads: ClientOperation[]
}

export interface Loss {
  readonly volume: number
  readonly fromMs: number
  readonly atMs: number
}

/** Everything that clients did, sector by sector: what may be there, and whether it can all be true. */
export class History {
  readonly operations: ClientOperation[] = []
  readonly #cells = new Map<string, MutableCell>()
  readonly #flushes: ClientOperation[] = []
  readonly #losses: Loss[] = []

  began(operation: ClientOperation): void {
    this.operations.push(operation)
    if (operation.kind === 'flush') {
      this.#flushes.push(operation)
      return
    }
    for (let i = 0; i < operation.sectors; i++) {
      const cell = this.#cell(operation.volume, operation.firstSector + i)
      if (operation.kind === 'read' || operation.kind === 'look') cell.reads.push(operation)
      else cell.writes.push(operation)
    }
  }

  /** A read ended with `data`: null, or which sector holds what nobody ever wrote there. */
  found(operation: ClientOperation, data: Buffer): number | null {
    const found: number[] = []
    for (let i = 0; i < operation.sectors; i++) {
      const value = sectorValue(data, i * SECTOR_BYTES, operation.volume, operation.firstSector + i)
      if (value === GARBAGE || !this.#couldHold(operation.volume, operation.firstSector + i, value))
        return operation.firstSector + i
      found.push(value)
    }
    operation.found = found
    return null
  }

  /** The volume's loss generation rose: what was not flushed may have gone back, at most to what was. */
  lost(volume: number, fromMs: number, atMs: number): void {
    this.#losses.push({ volume, fromMs, atMs })
  }

  losses(volume: number): Loss[] {
    return this.#losses.filter(loss => loss.volume === volume)
  }

  /** When the volume's loss generation rose. */
  lossesMs(volume: number): number[] {
    return this.losses(volume).map(({ atMs }) => atMs)
  }

  /** Sectors of a volume that anything was ever written to. */
  writtenSectors(volume: number): number[] {
    const prefix = `${volume}/`
    return [...this.#cells.keys()]
      .filter(key => key.startsWith(prefix))
      .map(key => Number(key.slice(prefix.length)))
      .sort((a, b) => a - b)
  }

  /**
   * Values that this sector may hold if everything acknowledged before `floorMs` is there: of the writes none that
   * ended before the newest such one began.
   */
  valuesSince(volume: number, sector: number, floorMs: number): Set<number> {
    const lossMs = this.#newestLoss(volume)
    const { writes } = this.#cell(volume, sector)
    let newestMs = Number.NEGATIVE_INFINITY
    for (const write of writes) {
      if (write.outcome === 'ok' && write.respondedMs < floorMs && write.invokedMs > lossMs)
        newestMs = Math.max(newestMs, write.invokedMs)
    }
    const values = new Set<number>()
    if (newestMs === Number.NEGATIVE_INFINITY) values.add(0)
    for (const write of writes) {
      if (write.outcome === 'refused') continue
      if (write.outcome === 'ok' && write.respondedMs < newestMs) continue
      values.add(write.value)
    }
    return values
  }

  /** Whether what an acknowledged operation left there has been replaced by another: it must never come back. */
  isReplaced(volume: number, sector: number, value: number): boolean {
    const operation = this.operations[value - 1]
    if (operation?.outcome !== 'ok') return false
    const lossMs = this.#newestLoss(volume)
    return this.#cell(volume, sector).writes.some(
      write => write.outcome === 'ok' && write.invokedMs > operation.respondedMs && write.invokedMs > lossMs,
    )
  }

  /** When the newest flush began that was acknowledged. */
  newestFlushMs(volume: number): number {
    let newest = Number.NEGATIVE_INFINITY
    for (const flush of this.#flushes)
      if (flush.volume === volume && flush.outcome === 'ok') newest = Math.max(newest, flush.invokedMs)
    return newest
  }

  /** Whether a sector that holds `value` holds `operation`, something later or something at the same time. */
  isAtLeast(operation: ClientOperation, sector: number, value: number): boolean {
    return this.#cell(operation.volume, sector).writes.some(
      write => write.value === value && (write.outcome !== 'ok' || write.respondedMs >= operation.invokedMs),
    )
  }

  /** The first sector whose history contradicts itself. */
  contradiction(): { volume: number; sector: number; at: CellOperation; story: string[] } | null {
    for (const key of this.#cells.keys()) {
      const [volume, sector] = key.split('/').map(Number) as [number, number]
      const operations = this.#operationsOf(volume, sector)
      const at = findContradiction(operations, 0)
      if (at !== null) return { volume, sector, at, story: storyOf(operations) }
    }
    return null
  }

  /** What came by this nexus has taken effect at this moment, or never will, where `isClosed` says so. */
  closeChanges(
    volume: number,
    nexus: string,
    atMs: number,
    isClosed: (operation: ClientOperation) => boolean,
  ): void {
    for (const operation of this.operations) {
      if (operation.volume !== volume || operation.nexus !== nexus || !isChange(operation.kind)) continue
      if (operation.invokedMs >= atMs || operation.respondedMs <= atMs || operation.closedMs <= atMs) continue
      if (operation.outcome !== 'refused' && isClosed(operation)) operation.closedMs = atMs
    }
  }

  #couldHold(volume: number, sector: number, value: number): boolean {
    if (value === 0) return true
    return this.#cell(volume, sector).writes.some(
      write => write.value === value && write.outcome !== 'refused',
    )
  }

  #newestLoss(volume: number): number {
    let newest = Number.NEGATIVE_INFINITY
    for (const loss of this.#losses) if (loss.volume === volume) newest = Math.max(newest, loss.atMs)
    return newest
  }

  #operationsOf(volume: number, sector: number): CellOperation[] {
    const { writes, reads } = this.#cell(volume, sector)
    const result: CellOperation[] = []
    for (const write of writes) {
      if (write.outcome === 'refused') continue
      const isCompare = write.kind === 'compareAndWrite'
      result.push({
        kind: isCompare ? 'compareAndWrite' : 'write',
        invokedMs: write.invokedMs,
        respondedMs: write.outcome === 'ok' ? Math.min(write.respondedMs, write.closedMs) : NEVER,
        isMaybe: write.outcome !== 'ok',
        closedMs: write.closedMs,
        value: write.value,
        expected: isCompare ? write.expected[sector - write.firstSector]! : 0,
        label: labelOf(write, write.value),
      })
    }
    for (const read of reads) {
      if (read.outcome !== 'ok') continue
      const value = read.found[sector - read.firstSector]!
      if (value === UNSEEN) continue
      result.push({
        kind: 'read',
        invokedMs: read.invokedMs,
        respondedMs: read.respondedMs,
        isMaybe: false,
        closedMs: NEVER,
        value,
        expected: 0,
        label: labelOf(read, value),
      })
    }
    for (const loss of this.#losses) {
      if (loss.volume !== volume) continue
      result.push({
        kind: 'loss',
        invokedMs: loss.fromMs,
        respondedMs: loss.atMs,
        isMaybe: false,
        closedMs: NEVER,
        value: 0,
        expected: 0,
        allowed: this.#valuesAfterLoss(volume, sector, loss),
        label: `loss generation rose ${loss.fromMs.toFixed(1)}-${loss.atMs.toFixed(1)}`,
      })
    }
    return result
  }

  /** What was flushed is there, or something newer. */
  #valuesAfterLoss(volume: number, sector: number, loss: Loss): Set<number> {
    let flushedMs = Number.NEGATIVE_INFINITY
    for (const flush of this.#flushes) {
      if (flush.volume === volume && flush.outcome === 'ok' && flush.respondedMs <= loss.atMs)
        flushedMs = Math.max(flushedMs, flush.invokedMs)
    }
    const earlier = this.#losses.filter(other => other.volume === volume && other.atMs < loss.atMs)
    const lossMs = Math.max(Number.NEGATIVE_INFINITY, ...earlier.map(other => other.atMs))
    const { writes } = this.#cell(volume, sector)
    let newestMs = Number.NEGATIVE_INFINITY
    for (const write of writes) {
      if (write.outcome === 'ok' && write.respondedMs < flushedMs && write.invokedMs > lossMs)
        newestMs = Math.max(newestMs, write.invokedMs)
    }
    const values = new Set<number>(newestMs === Number.NEGATIVE_INFINITY ? [0] : [])
    for (const write of writes) {
      if (write.outcome === 'refused' || write.invokedMs > loss.atMs) continue
      if (write.outcome !== 'ok' || write.respondedMs >= newestMs) values.add(write.value)
    }
    return values
  }

  #cell(volume: number, sector: number): MutableCell {
    const key = `${volume}/${sector}`
    let cell = this.#cells.get(key)
    if (cell === undefined) {
      cell = { writes: [], reads: [] }
      this.#cells.set(key, cell)
    }
    return cell
  }
}

export function isChange(kind: ClientOperationKind): boolean {
  return kind !== 'read' && kind !== 'look' && kind !== 'flush'
}

function labelOf(operation: ClientOperation, value: number): string {
  const end = operation.outcome === 'ok' ? operation.respondedMs.toFixed(1) : operation.outcome
  const closed = operation.closedMs === NEVER ? '' : ` closed ${operation.closedMs.toFixed(1)}`
  return `${operation.client} #${operation.id} ${operation.kind} ${value} [${operation.invokedMs.toFixed(1)} .. ${end}]${closed}`
}

function storyOf(operations: readonly CellOperation[]): string[] {
  return [...operations].sort((a, b) => a.invokedMs - b.invokedMs).map(operation => operation.label)
}
