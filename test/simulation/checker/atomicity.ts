import type { ClientOperation } from './history.ts'

const NEVER = Number.POSITIVE_INFINITY

/** A write that was to be there whole or not at all, and is there in part. */
export interface TornWrite {
  readonly write: ClientOperation
  /** Where somebody saw it, and where what was there before. */
  readonly present: number
  readonly missing: number
  readonly missingValue: number
  readonly seenBy: string
}

interface Span {
  readonly firstSector: number
  readonly sectors: number
}

/**
 * Whether clients ever saw a part of an atomic write without the rest. One READ that finds it in a sector must not find
 * in another what was certainly there before it; nor must any read that begins later, unless a loss was told of.
 */
export class Atomicity {
  readonly #operations: readonly ClientOperation[]
  /** By the number of the write: when it had certainly taken effect. */
  readonly #knownMs = new Map<number, number>()
  readonly #zeroes: readonly ClientOperation[]
  readonly #lossesMs: (volume: number) => readonly number[]

  constructor(
    operations: readonly ClientOperation[],
    lossesMs: (volume: number) => readonly number[] = () => [],
  ) {
    this.#operations = operations
    this.#lossesMs = lossesMs
    this.#zeroes = operations.filter(({ kind }) => kind === 'trim' || kind === 'zero')
    for (const operation of operations) {
      if (operation.outcome !== 'ok') continue
      if (operation.kind === 'read') for (const value of operation.found) this.#know(value, operation)
      else this.#know(operation.value, operation)
    }
  }

  tornForReaders(): TornWrite | null {
    const atomics = this.#operations.filter(({ kind }) => kind === 'writeAtomic')
    for (const read of this.#operations) {
      if (read.kind !== 'read' || read.outcome !== 'ok') continue
      for (const write of atomics) {
        if (write.volume !== read.volume || write.invokedMs > read.respondedMs) continue
        const torn = this.#tornIn(
          write,
          read,
          sector => read.found[sector - read.firstSector]!,
          labelOf(read),
        )
        if (torn !== null) return torn
        const later = this.#missingFor(write, read)
        if (later !== null) return later
      }
    }
    return null
  }

  /** The same for what all members hold when everything has come to rest. */
  tornAtRest(volume: number, contentOf: (sector: number) => number | null): TornWrite | null {
    for (const write of this.#operations) {
      if (write.kind !== 'writeAtomic' || write.volume !== volume) continue
      const torn = this.#tornIn(write, write, contentOf, 'the members at rest')
      if (torn !== null) return torn
    }
    return null
  }

  #know(value: number, { respondedMs }: ClientOperation): void {
    if (respondedMs < (this.#knownMs.get(value) ?? NEVER)) this.#knownMs.set(value, respondedMs)
  }

  /** It is in a sector of `seen` and was certainly not yet in another one. */
  #tornIn(
    write: ClientOperation,
    seen: Span,
    contentOf: (sector: number) => number | null,
    seenBy: string,
  ): TornWrite | null {
    let present: number | null = null
    let missing: { sector: number; value: number } | null = null
    for (const sector of commonSectors(write, seen)) {
      const value = contentOf(sector)
      if (value === write.value) present ??= sector
      else if (value !== null && this.#isBefore(write, sector, value)) missing ??= { sector, value }
    }
    if (present === null || missing === null) return null
    return { write, present, missing: missing.sector, missingValue: missing.value, seenBy }
  }

  /** Somebody had seen it before this read began. */
  #missingFor(write: ClientOperation, read: ClientOperation): TornWrite | null {
    const knownMs = this.#knownMs.get(write.value) ?? NEVER
    if (knownMs >= read.invokedMs || this.#lossesMs(write.volume).some(atMs => atMs >= write.invokedMs))
      return null
    for (const sector of commonSectors(write, read)) {
      const value = read.found[sector - read.firstSector]!
      if (value === write.value || !this.#isBefore(write, sector, value)) continue
      return { write, present: -1, missing: sector, missingValue: value, seenBy: labelOf(read) }
    }
    return null
  }

  /** Whether everything that leaves `value` in a sector had certainly happened when `write` began. */
  #isBefore(write: ClientOperation, sector: number, value: number): boolean {
    if (value !== 0) return (this.#knownMs.get(value) ?? NEVER) < write.invokedMs
    return this.#zeroes.every(
      ({ volume, firstSector, sectors, outcome, respondedMs, closedMs }) =>
        volume !== write.volume ||
        sector < firstSector ||
        sector >= firstSector + sectors ||
        outcome === 'refused' ||
        (outcome === 'ok' ? respondedMs : closedMs) < write.invokedMs,
    )
  }
}

export function describeTorn({ write, present, missing, missingValue, seenBy }: TornWrite): string {
  const where = present < 0 ? 'was seen before' : `is in sector ${present}`
  return `${write.client} #${write.id} is atomic, ${where}, and for ${seenBy} sector ${missing} holds ${missingValue}`
}

function commonSectors(one: Span, other: Span): number[] {
  const first = Math.max(one.firstSector, other.firstSector)
  const end = Math.min(one.firstSector + one.sectors, other.firstSector + other.sectors)
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i)
}

function labelOf({ client, id, invokedMs }: ClientOperation): string {
  return `${client} #${id} (begun at ${invokedMs.toFixed(1)})`
}
