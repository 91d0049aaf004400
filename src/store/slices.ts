import { SEGMENT_BYTES, SLOT_BYTES } from './layout.ts'

export interface Slice {
  readonly extent: number
  /** Within the extent, as `toBytes`, where the slice ends. */
  readonly fromBytes: number
  readonly toBytes: number
}

/** A range of a volume cut at the ends of its extents. */
export function slices(offsetBytes: number, lengthBytes: number): Slice[] {
  return cut(offsetBytes, lengthBytes, SLOT_BYTES)
}

/** A range of a volume cut at the ends of its segments. */
export function segmentSlices(offsetBytes: number, lengthBytes: number): Slice[] {
  return cut(offsetBytes, lengthBytes, SEGMENT_BYTES)
}

/** Where a slice begins in the volume. */
export function startOf({ extent, fromBytes }: Slice): number {
  return extent * SLOT_BYTES + fromBytes
}

function cut(offsetBytes: number, lengthBytes: number, unitBytes: number): Slice[] {
  const found: Slice[] = []
  const endBytes = offsetBytes + lengthBytes
  for (let at = offsetBytes; at < endBytes; ) {
    const stop = Math.min(endBytes, at - (at % unitBytes) + unitBytes)
    const extent = Math.floor(at / SLOT_BYTES)
    found.push({ extent, fromBytes: at - extent * SLOT_BYTES, toBytes: stop - extent * SLOT_BYTES })
    at = stop
  }
  return found
}
