import { contentOf } from '../../../src/store/replica/entry-content.ts'
import { BLOCKS_PER_REGION, Entry, type VolumeImage } from './volume-image.ts'

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

export interface RegionEntries {
  readonly entries: Uint32Array
  /** Some block is not what its checksum says. */
  readonly differs: boolean
}

/** A region's entries; where the data may be other than they say it is read, and what differs equals nothing. */
export function entriesOf(image: VolumeImage, region: number, isRead: boolean): RegionEntries {
  const first = region * BLOCKS_PER_REGION
  const entries = new Uint32Array(BLOCKS_PER_REGION)
  let differs = false
  for (let i = 0; i < BLOCKS_PER_REGION; i++) {
    const entry = image.entry(first + i)
    const isBad = isRead && entry >= Entry.firstPresent && image.verified(first + i) === null
    entries[i] = isBad ? ~entry >>> 0 : entry
    if (isBad) differs = true
  }
  return { entries, differs }
}
