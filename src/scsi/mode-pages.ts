import type { LogicalUnit } from './logical-unit.ts'
import type { ModeState } from './mode-state.ts'
import { defaultThreshold, type SpaceThreshold } from './space-threshold.ts'

/** PC field of MODE SENSE. SPC-5 §6.14.1. */
export const PageControl = { current: 0, changeable: 1, default: 2, saved: 3 } as const
export type PageControl = (typeof PageControl)[keyof typeof PageControl]

const ALL_PAGES = 0x3f
const ALL_SUBPAGES = 0xff

/** A mode page: its bytes (header included), and the bits that MODE SELECT may set. */
export interface ModePage {
  readonly code: number
  /** 0: a page without subpage code, in page_0 format. SPC-5 §7.5.7. */
  readonly subpage: number
  defaults(unit: LogicalUnit): Buffer
  readonly changeable: Buffer
  /** Puts the current values into a copy of the defaults. */
  write(page: Buffer, modes: ModeState): void
  /** Takes them out of a page that has only changeable bits changed. */
  read(page: Buffer, modes: ModeState): void
}

const WCE = 0x04
const D_SENSE = 0x04
const SWP = 0x08
const TAS = 0x40
const DEXCPT = 0x08

function page(code: number, lengthBytes: number, fields: Readonly<Record<number, number>>): Buffer {
  const bytes = Buffer.alloc(2 + lengthBytes)
  bytes[0] = code
  bytes[1] = lengthBytes
  for (const [at, value] of Object.entries(fields)) bytes[Number(at)] = value
  return bytes
}

/** The default of a page that is alike in all units. */
function always(bytes: Buffer): () => Buffer {
  return () => bytes
}

function setBit(bytes: Buffer, at: number, bit: number, isSet: boolean): void {
  bytes[at] = isSet ? bytes[at]! | bit : bytes[at]! & ~bit
}

/** SBC-4 §6.5.6. The volatile cache is the page cache of every replica. */
const caching: ModePage = {
  code: 0x08,
  subpage: 0,
  defaults: always(page(0x08, 18, { 2: WCE })),
  changeable: page(0x08, 18, { 2: WCE }),
  write: (bytes, modes) => setBit(bytes, 2, WCE, modes.writeCacheEnabled),
  read: (bytes, modes) => {
    modes.writeCacheEnabled = (bytes[2]! & WCE) !== 0
  },
}

/**
 * SPC-5 §7.5.9. TST=000b, one task set for all nexuses; QUEUE ALGORITHM MODIFIER 1h, SIMPLE commands may be
 * reordered; QERR=00b, one command's error stops no other; TAS=1, aborted ones are answered TASK ABORTED.
 */
const control: ModePage = {
  code: 0x0a,
  subpage: 0,
  defaults: always(page(0x0a, 10, { 3: 0x10, 5: TAS })),
  changeable: page(0x0a, 10, { 2: D_SENSE, 4: SWP, 5: TAS }),
  write: (bytes, modes) => {
    setBit(bytes, 2, D_SENSE, modes.descriptorSense)
    setBit(bytes, 4, SWP, modes.softwareWriteProtect)
    setBit(bytes, 5, TAS, modes.taskAbortedStatus)
  },
  read: (bytes, modes) => {
    modes.descriptorSense = (bytes[2]! & D_SENSE) !== 0
    modes.softwareWriteProtect = (bytes[4]! & SWP) !== 0
    modes.taskAbortedStatus = (bytes[5]! & TAS) !== 0
  },
}

/** SPC-5 §7.5.16: no informational exceptions are reported. */
const informationalExceptions: ModePage = {
  code: 0x1c,
  subpage: 0,
  defaults: always(page(0x1c, 10, { 2: DEXCPT })),
  changeable: page(0x1c, 10, {}),
  write: () => {},
  read: () => {},
}

const SPF = 0x40
const ENABLED = 0x80
/** THRESHOLD RESOURCE: that of log page 0Ch which has this parameter code. */
const AVAILABLE_RESOURCES = 0x01
const DESCRIPTOR_AT = 16

function thresholdPage(enabledBits: number, resource: number, sets: number): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.set([SPF | 0x1c, 0x02])
  bytes.writeUInt16BE(bytes.length - 4, 2)
  bytes[DESCRIPTOR_AT] = enabledBits
  bytes[DESCRIPTOR_AT + 1] = resource
  bytes.writeUInt32BE(sets, DESCRIPTOR_AT + 4)
  return bytes
}

function writeThreshold(bytes: Buffer, { isEnabled, sets }: SpaceThreshold): void {
  setBit(bytes, DESCRIPTOR_AT, ENABLED, isEnabled)
  bytes.writeUInt32BE(sets, DESCRIPTOR_AT + 4)
}

/** SBC-4 §6.5.9. SITUA=0, every nexus is told; one soft threshold, armed decreasing (both fields zero). */
const logicalBlockProvisioning: ModePage = {
  code: 0x1c,
  subpage: 0x02,
  defaults: unit => {
    const bytes = thresholdPage(0, AVAILABLE_RESOURCES, 0)
    writeThreshold(bytes, defaultThreshold(unit.volume.space))
    return bytes
  },
  changeable: thresholdPage(ENABLED, 0, 0xffffffff),
  write: (bytes, modes) => {
    if (modes.spaceThreshold !== null) writeThreshold(bytes, modes.spaceThreshold)
  },
  read: (bytes, modes) => {
    const isEnabled = (bytes[DESCRIPTOR_AT]! & ENABLED) !== 0
    modes.spaceThreshold = { isEnabled, sets: bytes.readUInt32BE(DESCRIPTOR_AT + 4) }
  },
}

const modePages: readonly ModePage[] = [caching, control, informationalExceptions, logicalBlockProvisioning]

export function findModePage(code: number, subpage: number): ModePage | undefined {
  return modePages.find(modePage => modePage.code === code && modePage.subpage === subpage)
}

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
  const { pageCode, subpageCode } = request
  const chosen = modePages.filter(({ code, subpage }) => {
    const isOfPage = pageCode === ALL_PAGES || code === pageCode
    return isOfPage && (subpageCode === ALL_SUBPAGES || subpage === subpageCode)
  })
  if (chosen.length === 0) return null
  const descriptor = request.withBlockDescriptor
    ? blockDescriptor(unit, request.withLongLba)
    : Buffer.alloc(0)
  const body = [descriptor, ...chosen.map(modePage => encodePage(modePage, unit, request.pageControl))]
  const header = encodeHeader(unit, request, descriptor.length)
  const data = Buffer.concat([header, ...body])
  if (request.isLong) data.writeUInt16BE(data.length - 2, 0)
  else data[0] = data.length - 1
  return data
}

/** The page as it stands in `modes`. */
export function currentPage(modePage: ModePage, unit: LogicalUnit, modes: ModeState): Buffer {
  const bytes = Buffer.from(modePage.defaults(unit))
  modePage.write(bytes, modes)
  return bytes
}

function encodePage(modePage: ModePage, unit: LogicalUnit, pageControl: PageControl): Buffer {
  if (pageControl === PageControl.current) return currentPage(modePage, unit, unit.modes)
  if (pageControl === PageControl.default) return modePage.defaults(unit)
  return modePage.changeable
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
