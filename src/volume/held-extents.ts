import type { BlockExtent } from '../block/block-device.ts'
import type { OperationQueue } from './operation-queue.ts'
import { RangeHold } from './operation-queue.ts'

/** Bytes [startBytes, endBytes). */
export interface HeldSpan {
  readonly startBytes: number
  readonly endBytes: number
}

/** What of [startBytes, endBytes) somebody is changing, or is still making alike on all members. */
export function changingSpans(queue: OperationQueue, startBytes: number, endBytes: number): HeldSpan[] {
  const spans: HeldSpan[] = []
  for (let entry = queue.first; entry !== null; entry = entry.nextEntry) {
    if (entry.hold !== RangeHold.write) continue
    const span = {
      startBytes: Math.max(entry.startBytes, startBytes),
      endBytes: Math.min(entry.endBytes, endBytes),
    }
    if (span.startBytes < span.endBytes) spans.push(span)
  }
  return spans
}

/** The same extents with every hole inside of `held` called mapped, since a read would have to wait; merged. */
export function mappedWhereHeld(extents: readonly BlockExtent[], held: readonly HeldSpan[]): BlockExtent[] {
  if (held.length === 0) return [...extents]
  const sorted = held.toSorted((a, b) => a.startBytes - b.startBytes)
  const found: BlockExtent[] = []
  const add = (offsetBytes: number, endBytes: number, mapped: boolean) => {
    if (offsetBytes >= endBytes) return
    const last = found.at(-1)
    if (last?.mapped !== mapped) found.push({ offsetBytes, lengthBytes: endBytes - offsetBytes, mapped })
    else found[found.length - 1] = { ...last, lengthBytes: endBytes - last.offsetBytes }
  }
  for (const { offsetBytes, lengthBytes, mapped } of extents) {
    const endBytes = offsetBytes + lengthBytes
    let at = offsetBytes
    for (const span of mapped ? [] : sorted) {
      add(at, Math.min(Math.max(span.startBytes, at), endBytes), false)
      const heldTo = Math.min(span.endBytes, endBytes)
      if (heldTo <= at) continue
      const heldFrom = Math.max(span.startBytes, at)
      if (heldFrom >= endBytes) break
      add(heldFrom, heldTo, true)
      at = heldTo
    }
    add(at, endBytes, mapped)
  }
  return found
}
