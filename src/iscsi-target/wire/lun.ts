/** The eight-byte LUN field, as two words. SAM-5 §4.7. */

/** Addressing methods, the top two bits. SAM-5 §4.7.7. */
const PERIPHERAL = 0
const FLAT = 1
const EXTENDED = 3
/** Extended flat space addressing with three bytes: method 11b, length 01b, extended method 2h. §4.7.7.6. */
const EXTENDED_FLAT = 0xd2
const PERIPHERAL_MAX = 0xff
const FLAT_MAX = 0x3fff
/** Where flat numbers end. */
export const LUN_MAX = 0xffffff

/** Flat logical unit number, or -1 for a form that addresses nothing here (buses, levels, well-known units). */
export function flatLun(high: number, low: number): number {
  if (low !== 0) return -1
  const method = high >>> 30
  if (method === EXTENDED) return high >>> 24 === EXTENDED_FLAT ? high & 0xffffff : -1
  if ((high & 0xffff) !== 0) return -1
  if (method === PERIPHERAL) return high >>> 24 === 0 ? high >>> 16 : -1
  return method === FLAT ? (high >>> 16) & FLAT_MAX : -1
}

/** First word of the LUN field for a flat number up to LUN_MAX; the second is zero. */
export function lunHighWord(lun: number): number {
  if (lun <= PERIPHERAL_MAX) return lun << 16
  if (lun <= FLAT_MAX) return ((FLAT << 30) | (lun << 16)) >>> 0
  return ((EXTENDED_FLAT << 24) | lun) >>> 0
}
