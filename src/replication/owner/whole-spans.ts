import type { ByteSpan } from '../messages.ts'
import type { DoubtfulSpan } from './doubts.ts'
import type { SpanHold } from './span-hold.ts'

/** A span whose blocks are held, by these. */
export interface HeldSpan extends DoubtfulSpan {
  readonly holds: readonly SpanHold[]
}

/**
 * Atomic writes that overlap, as one: of one that a later one has written over, a part from another member would tear
 * the later one. In the order of their places.
 */
export function joinedSpans(atomics: readonly ByteSpan[]): DoubtfulSpan[] {
  const joined: { startBytes: number; endBytes: number }[] = []
  for (const { offsetBytes, lengthBytes } of [...atomics].sort((a, b) => a.offsetBytes - b.offsetBytes)) {
    const last = joined.at(-1)
    const endBytes = offsetBytes + lengthBytes
    if (last !== undefined && offsetBytes < last.endBytes) last.endBytes = Math.max(last.endBytes, endBytes)
    else joined.push({ startBytes: offsetBytes, endBytes })
  }
  return joined
}

/** The parts of a span that `holds` hold without a gap; what has been let go of may have been written since. */
export function heldSpans({ startBytes, endBytes }: DoubtfulSpan, holds: readonly SpanHold[]): HeldSpan[] {
  const held: { startBytes: number; endBytes: number; holds: SpanHold[] }[] = []
  const touching = holds.filter(hold => hold.startBytes < endBytes && hold.endBytes > startBytes)
  for (const hold of touching.sort((a, b) => a.startBytes - b.startBytes)) {
    const last = held.at(-1)
    const end = Math.min(endBytes, hold.endBytes)
    if (last?.endBytes === hold.startBytes) {
      last.endBytes = end
      last.holds.push(hold)
    } else held.push({ startBytes: Math.max(startBytes, hold.startBytes), endBytes: end, holds: [hold] })
  }
  return held
}
