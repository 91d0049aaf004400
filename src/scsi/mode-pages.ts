import type { LogicalUnit } from './logical-unit.ts'
import type { ModeState } from './mode-state.ts'

/** PC field of MODE SENSE. SPC-5 §6.14.1. */
export const PageControl = { current: 0, changeable: 1, default: 2, saved: 3 } as const
export type PageControl = (typeof PageControl)[keyof typeof PageControl]

const ALL_PAGES = 0x3f
const ALL_SUBPAGES = 0xff

/** A mode page: its fixed bytes (header included), and the bits that MODE SELECT may set. */
export interface ModePage {
  readonly code: number
  readonly defaults: Buffer
  readonly changeable: Buffer
  /** Puts the current values into a copy of the defaults. */
  write(page: Buffer, modes: ModeState): void
  /** Takes them out of a page that has only changeable bits changed. */
  read(page: Buffer, modes: ModeState): void
}

const WCE = 0x04
const D_SENSE = 0x04
const SWP = 0x08
const DEXCPT = 0x08

function page(code: number, lengthBytes: number, fields: Readonly<Record<number, number>>): Buffer {
  const bytes = Buffer.alloc(2 + lengthBytes)
  bytes[0] = code
  bytes[1] = lengthBytes
  for (const [at, value] of Object.entries(fields)) bytes[Number(at)] = value
  return bytes
}

function setBit(bytes: Buffer, at: number, bit: number, isSet: boolean): void {
  bytes[at] = isSet ? bytes[at]! | bit : bytes[at]! & ~bit
}

/** SBC-4 §6.5.6. The volatile cache is the page cache of every replica. */
const caching: ModePage = {
  code: 0x08,
  defaults: page(0x08, 18, { 2: WCE }),
  changeable: page(0x08, 18, { 2: WCE }),
  write: (bytes, modes) => setBit(bytes, 2, WCE, modes.writeCacheEnabled),
  read: (bytes, modes) => {
    modes.writeCacheEnabled = (bytes[2]! & WCE) !== 0
  },
}

/**
 * SPC-5 §7.5.9. TST=000b, one task set for all nexuses; QUEUE ALGORITHM MODIFIER 1h, SIMPLE commands may be
 * reordered; QERR=00b, one command's error stops no other; TAS=0, aborted ones are told by unit attention.
 */
const control: ModePage = {
  code: 0x0a,
  defaults: page(0x0a, 10, { 3: 0x10 }),
  changeable: page(0x0a, 10, { 2: D_SENSE, 4: SWP }),
  write: (bytes, modes) => {
    setBit(bytes, 2, D_SENSE, modes.descriptorSense)
    setBit(bytes, 4, SWP, modes.softwareWriteProtect)
  },
  read: (bytes, modes) => {
    modes.descriptorSense = (bytes[2]! & D_SENSE) !== 0
    modes.softwareWriteProtect = (bytes[4]! & SWP) !== 0
  },
}

/** SPC-5 §7.5.16: no informational exceptions are reported. */
const informationalExceptions: ModePage = {
  code: 0x1c,
  defaults: page(0x1c, 10, { 2: DEXCPT }),
  changeable: page(0x1c, 10, {}),
  write: () => {},
  read: () => {},
}

export const modePages: readonly ModePage[] = [caching, control, informationalExceptions]

export interface ModeRequest {
  /** The ten-byte command's header. */
  readonly isLong: boolean
  readonly pageControl: PageControl
  readonly pageCode: number
  readonly subpageCode: number
  readonly withBlockDescriptor: boolean
  /** LLBAA: a block descriptor with a 64-bit number of blocks. */
  readonly withLongLba: boolean
}

/** The parameter list of MODE SENSE, or null when there is no such page. SPC-5 §7.5. */
export function encodeModeParameters(unit: LogicalUnit, request: ModeRequest): Buffer | null {
  const hasSubpages = request.subpageCode === ALL_SUBPAGES
  if (request.subpageCode !== 0 && !hasSubpages) return null
  const chosen =
    request.pageCode === ALL_PAGES ? modePages : modePages.filter(({ code }) => code === request.pageCode)
  if (chosen.length === 0) return null
  const descriptor = request.withBlockDescriptor
    ? blockDescriptor(unit, request.withLongLba)
    : Buffer.alloc(0)
  const body = [descriptor, ...chosen.map(modePage => encodePage(modePage, unit.modes, request.pageControl))]
  const header = encodeHeader(unit, request, descriptor.length)
  const data = Buffer.concat([header, ...body])
  if (request.isLong) data.writeUInt16BE(data.length - 2, 0)
  else data[0] = data.length - 1
  return data
}

/** The page as it stands. */
export function currentPage(modePage: ModePage, modes: ModeState): Buffer {
  const bytes = Buffer.from(modePage.defaults)
  modePage.write(bytes, modes)
  return bytes
}

function encodePage(modePage: ModePage, modes: ModeState, pageControl: PageControl): Buffer {
  if (pageControl === PageControl.current) return currentPage(modePage, modes)
  return pageControl === PageControl.default ? modePage.defaults : modePage.changeable
}

const WP = 0x80
const DPOFUA = 0x10
const LONGLBA = 0x01

/** Mode parameter header with SBC-4's device-specific parameter. SPC-5 §7.5.6, SBC-4 §6.5.1. */
function encodeHeader(unit: LogicalUnit, request: ModeRequest, descriptorBytes: number): Buffer {
  const isProtected = unit.isReadOnly || unit.modes.softwareWriteProtect
  const deviceSpecific = (isProtected ? WP : 0) | DPOFUA
  if (!request.isLong) return Buffer.of(0, 0, deviceSpecific, descriptorBytes)
  const header = Buffer.alloc(8)
  header[3] = deviceSpecific
  header[4] = request.withLongLba && descriptorBytes > 0 ? LONGLBA : 0
  header.writeUInt16BE(descriptorBytes, 6)
  return header
}

/** Short or long LBA mode parameter block descriptor. SBC-4 §6.5.2. */
function blockDescriptor(unit: LogicalUnit, isLongLba: boolean): Buffer {
  const { sizeBytes, blockSizeBytes } = unit.volume
  const blocks = sizeBytes / blockSizeBytes
  const descriptor = Buffer.alloc(isLongLba ? 16 : 8)
  if (isLongLba) {
    descriptor.writeBigUInt64BE(BigInt(blocks), 0)
    descriptor.writeUInt32BE(blockSizeBytes, 12)
  } else {
    descriptor.writeUInt32BE(Math.min(blocks, 0xffffffff), 0)
    descriptor.writeUIntBE(blockSizeBytes, 5, 3)
  }
  return descriptor
}
