/** Big-endian fields inside a bigger buffer. Plain byte stores: no call into Buffer's checked writers. */

export function putWord(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 24
  into[at + 1] = value >>> 16
  into[at + 2] = value >>> 8
  into[at + 3] = value
}

export function getWord(from: Buffer, at: number): number {
  return ((from[at] << 24) | (from[at + 1] << 16) | (from[at + 2] << 8) | from[at + 3]) >>> 0
}

export function putHalf(into: Buffer, at: number, value: number): void {
  into[at] = value >>> 8
  into[at + 1] = value
}

export function getHalf(from: Buffer, at: number): number {
  return (from[at] << 8) | from[at + 1]
}

/** The low 24 bits; the byte before `at` is left alone. */
export function getTriple(from: Buffer, at: number): number {
  return (from[at] << 16) | (from[at + 1] << 8) | from[at + 2]
}
