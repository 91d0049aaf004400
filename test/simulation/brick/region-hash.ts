import { contentOf } from '../../../src/store/replica/entry-content.ts'

/** 128 bits over what a region's entries say of its contents. */
export function hashOfEntries(entries: Uint32Array): string {
  let a = 0x243f6a88
  let b = 0x85a308d3
  let c = 0x13198a2e
  let d = 0x03707344
  for (const raw of entries) {
    const entry = contentOf(raw)
    a = Math.imul(a ^ entry, 0x9e3779b1)
    b = Math.imul(b ^ ((entry >>> 15) | (entry << 17)), 0x85ebca77)
    c = (Math.imul(c, 31) + entry) | 0
    d = Math.imul(d ^ a, 0xc2b2ae3d) ^ (b >>> 7)
  }
  return [a, b, c, d].map(word => (word >>> 0).toString(16).padStart(8, '0')).join('')
}
