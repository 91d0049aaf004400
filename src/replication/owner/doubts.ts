import { REGION_BYTES, SEGMENT_BYTES } from '../../store/layout.ts'
import type { FenceAnswer } from '../messages.ts'

/** Bytes [startBytes, endBytes) in which members may differ. */
export interface DoubtfulSpan {
  readonly startBytes: number
  readonly endBytes: number
}

/**
 * What must be reconciled after these members were fenced: operations above the watermark, every active segment of
 * a member that cannot tell them, and what is suspect. Sorted, without overlap, of whole regions, cut at
 * segments: members are compared by regions, and nothing else may go on in one meanwhile. PROTOCOL rule 16.
 */
export function doubtfulSpans(answers: readonly FenceAnswer[], sizeBytes: number): DoubtfulSpan[] {
  const spans: DoubtfulSpan[] = []
  const segments = new Set<number>()
  for (const { operations, atomics = [], activeSegments, suspectSegments } of answers) {
    for (const segment of activeSegments) segments.add(segment)
    for (const segment of suspectSegments) segments.add(segment)
    for (const { offsetBytes, lengthBytes } of [...operations, ...atomics]) {
      spans.push({ startBytes: offsetBytes, endBytes: offsetBytes + lengthBytes })
    }
  }
  for (const segment of segments) {
    spans.push({ startBytes: segment * SEGMENT_BYTES, endBytes: (segment + 1) * SEGMENT_BYTES })
  }
  const cut = spans.flatMap(span => cutAtSegments(span, sizeBytes))
  cut.sort((a, b) => a.startBytes - b.startBytes || b.endBytes - a.endBytes)
  return merge(cut)
}

function cutAtSegments({ startBytes, endBytes }: DoubtfulSpan, sizeBytes: number): DoubtfulSpan[] {
  const pieces: DoubtfulSpan[] = []
  const end = Math.min(Math.ceil(endBytes / REGION_BYTES) * REGION_BYTES, sizeBytes)
  for (let at = Math.floor(startBytes / REGION_BYTES) * REGION_BYTES; at < end; ) {
    const next = Math.min(end, (Math.floor(at / SEGMENT_BYTES) + 1) * SEGMENT_BYTES)
    pieces.push({ startBytes: at, endBytes: next })
    at = next
  }
  return pieces
}

/** Spans of one segment that touch become one; those of different segments stay apart. */
function merge(sorted: readonly DoubtfulSpan[]): DoubtfulSpan[] {
  const merged: DoubtfulSpan[] = []
  for (const span of sorted) {
    const last = merged.at(-1)
    const sameSegment =
      last !== undefined &&
      Math.floor(last.startBytes / SEGMENT_BYTES) === Math.floor(span.startBytes / SEGMENT_BYTES)
    if (sameSegment && span.startBytes <= last.endBytes) {
      merged[merged.length - 1] = {
        startBytes: last.startBytes,
        endBytes: Math.max(last.endBytes, span.endBytes),
      }
    } else merged.push(span)
  }
  return merged
}
