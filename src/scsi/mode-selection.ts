import type { LogicalUnit } from './logical-unit.ts'
import { currentPage, findModePage } from './mode-pages.ts'
import type { ModeState } from './mode-state.ts'

export type ModeSelection =
  | { readonly result: 'changed'; readonly modes: ModeState }
  | { readonly result: 'unchanged' }
  /** A header, descriptor or page is cut off. */
  | { readonly result: 'truncated' }
  /** `byte` of the parameter list holds what cannot be set. */
  | { readonly result: 'invalidField'; readonly byte: number }

const HEADER_BYTES = 4
const LONG_HEADER_BYTES = 8
const LONGLBA = 0x01
const SPF = 0x40
const PAGE_CODE = 0x3f
const BLOCKS_UNCHANGED = [0, 0xffffffff]
const LONG_BLOCKS_UNCHANGED = [0n, 0xffffffffffffffffn]

/**
 * What a MODE SELECT parameter list asks for, checked as a whole before any of it takes effect.
 * SPC-5 §6.12, §7.5; a page that sets a bit which is not changeable is refused.
 */
export function selectModes(list: Buffer, isLong: boolean, unit: LogicalUnit): ModeSelection {
  const headerBytes = isLong ? LONG_HEADER_BYTES : HEADER_BYTES
  if (list.length < headerBytes) return { result: 'truncated' }
  const descriptorBytes = isLong ? list.readUInt16BE(6) : list[3]!
  const isLongLba = isLong && (list[4]! & LONGLBA) !== 0
  const pagesAt = headerBytes + descriptorBytes
  if (descriptorBytes !== 0) {
    if (descriptorBytes !== (isLongLba ? 16 : 8)) return { result: 'invalidField', byte: isLong ? 6 : 3 }
    if (list.length < pagesAt) return { result: 'truncated' }
    const wrong = wrongByteOfDescriptor(list.subarray(headerBytes, pagesAt), isLongLba, unit)
    if (wrong >= 0) return { result: 'invalidField', byte: headerBytes + wrong }
  }
  return selectPages(list, pagesAt, unit)
}

/** The block descriptor may only repeat what is: size and block size are not the initiators' to change. */
function wrongByteOfDescriptor(descriptor: Buffer, isLongLba: boolean, unit: LogicalUnit): number {
  const { sizeBytes, blockSizeBytes } = unit.volume
  const blocks = sizeBytes / blockSizeBytes
  if (isLongLba) {
    const wanted = descriptor.readBigUInt64BE(0)
    if (wanted !== BigInt(blocks) && !LONG_BLOCKS_UNCHANGED.includes(wanted)) return 0
    return descriptor.readUInt32BE(12) === blockSizeBytes ? -1 : 12
  }
  const wanted = descriptor.readUInt32BE(0)
  if (wanted !== blocks && !BLOCKS_UNCHANGED.includes(wanted)) return 0
  return descriptor.readUIntBE(5, 3) === blockSizeBytes ? -1 : 5
}

function selectPages(list: Buffer, pagesAt: number, unit: LogicalUnit): ModeSelection {
  const modes = unit.modes.copy()
  let hasChanged = false
  for (let at = pagesAt; at < list.length; ) {
    const hasSubpage = (list[at]! & SPF) !== 0
    const headerBytes = hasSubpage ? 4 : 2
    if (at + headerBytes > list.length) return { result: 'truncated' }
    const modePage = findModePage(list[at]! & PAGE_CODE, hasSubpage ? list[at + 1]! : 0)
    if (modePage === undefined) return { result: 'invalidField', byte: at }
    const current = currentPage(modePage, unit, modes)
    const { length } = current
    const pageLength = hasSubpage ? list.readUInt16BE(at + 2) : list[at + 1]!
    if (pageLength !== length - headerBytes) return { result: 'invalidField', byte: at + headerBytes / 2 }
    if (at + length > list.length) return { result: 'truncated' }
    const wanted = Buffer.from(list.subarray(at, at + length))
    for (let byte = headerBytes; byte < length; byte++) {
      const difference = wanted[byte]! ^ current[byte]!
      if ((difference & ~modePage.changeable[byte]!) !== 0) return { result: 'invalidField', byte: at + byte }
      hasChanged ||= difference !== 0
    }
    modePage.read(wanted, modes)
    at += length
  }
  return hasChanged ? { result: 'changed', modes } : { result: 'unchanged' }
}
