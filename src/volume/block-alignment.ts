/** The store works in whole blocks of this size, whatever the volume's logical block size. */
export const STORE_BLOCK_BYTES = 4096

export function alignDown(offsetBytes: number): number {
  return offsetBytes - (offsetBytes % STORE_BLOCK_BYTES)
}

export function alignUp(offsetBytes: number): number {
  return alignDown(offsetBytes + STORE_BLOCK_BYTES - 1)
}

export function isAligned(offsetBytes: number, lengthBytes: number): boolean {
  return offsetBytes % STORE_BLOCK_BYTES === 0 && lengthBytes % STORE_BLOCK_BYTES === 0
}

/** Sets in `into` every bit that is set in `from`. */
export function orInto(
  into: Buffer,
  intoAt: number,
  from: Buffer,
  fromAt: number,
  lengthBytes: number,
): void {
  for (let i = 0; i < lengthBytes; i++) into[intoAt + i] = into[intoAt + i]! | from[fromAt + i]!
}

/** Index of the first byte where the two ranges differ, or -1. */
export function firstDifference(a: Buffer, aAt: number, b: Buffer, bAt: number, lengthBytes: number): number {
  if (a.compare(b, bAt, bAt + lengthBytes, aAt, aAt + lengthBytes) === 0) return -1
  for (let i = 0; i < lengthBytes; i++) {
    if (a[aAt + i] !== b[bAt + i]) return i
  }
  return -1
}
