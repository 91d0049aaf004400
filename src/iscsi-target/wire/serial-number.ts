/** 32-bit serial numbers: CmdSN, StatSN, DataSN. RFC 7143 §4.2.2.1, RFC 1982 §3. */

/** Comparable distances are below half of the ring. */
const HALF_RING = 0x80000000

export function serialAdd(serial: number, count: number): number {
  return (serial + count) >>> 0
}

/** `a - b` on the ring, in [-2^31, 2^31). */
export function serialDistance(a: number, b: number): number {
  return (a - b) | 0
}

/** True when `a` comes before `b`. At a distance of exactly 2^31, which RFC 1982 leaves undefined: false. */
export function serialBefore(a: number, b: number): boolean {
  const ahead = (b - a) >>> 0
  return ahead !== 0 && ahead < HALF_RING
}

/** True when `first <= serial <= last` on the ring: the command window test of RFC 7143 §4.2.2.1. */
export function serialWithin(serial: number, first: number, last: number): boolean {
  return !serialBefore(serial, first) && !serialBefore(last, serial)
}
