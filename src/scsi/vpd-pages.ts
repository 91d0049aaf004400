import type { Volume } from '../volume/volume.ts'
import { DESIGNATOR_BYTES_MAX } from './copy/copy-limits.ts'
import { thirdPartyCopy } from './copy/third-party-copy-page.ts'
import type { ItlNexus } from './itl-nexus.ts'
import {
  ATOMIC_WRITE_BLOCKS_MAX,
  COMPARE_AND_WRITE_BLOCKS_MAX,
  PHYSICAL_BLOCK_BYTES,
  TRANSFER_BYTES_MAX,
  TRANSFER_BYTES_OPTIMAL,
  UNMAP_BLOCKS_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from './limits.ts'
import type { LogicalUnit } from './logical-unit.ts'
import { SENSE_BYTES_MAX } from './scsi-command.ts'
import { THRESHOLD_SET_BYTES } from './space-threshold.ts'
import { asciiField } from './standard-inquiry.ts'

/** Vital product data pages, by page code. SPC-5 §7.7, SBC-4 §6.6. */
const pages: ReadonlyMap<number, (link: ItlNexus) => Buffer> = new Map([
  [0x00, supportedPages],
  [0x80, unitSerialNumber],
  [0x83, deviceIdentification],
  [0x86, extendedInquiryData],
  [0x8f, thirdPartyCopy],
  [0xb0, blockLimits],
  [0xb1, blockDeviceCharacteristics],
  [0xb2, logicalBlockProvisioning],
])

/** The whole page with its header, or null when there is no such page. */
export function vpdPage(pageCode: number, link: ItlNexus): Buffer | null {
  const encode = pages.get(pageCode)
  if (encode === undefined) return null
  const body = encode(link)
  const page = Buffer.alloc(4 + body.length)
  page[1] = pageCode
  page.writeUInt16BE(body.length, 2)
  body.copy(page, 4)
  return page
}

/** SPC-5 §7.7.18. */
function supportedPages(): Buffer {
  return Buffer.from([...pages.keys()])
}

/** SPC-5 §7.7.19. */
function unitSerialNumber(link: ItlNexus): Buffer {
  return Buffer.from(serialNumber(link.unit.volume), 'ascii')
}

/** The same through every target and gateway: the volume's UUID. */
function serialNumber(volume: Volume): string {
  return volume.uuid.replaceAll('-', '')
}

const CodeSet = { binary: 1, ascii: 2, utf8: 3 } as const
const Association = { unit: 0x00, port: 0x10, device: 0x20 } as const
const Designator = { t10: 1, naa: 3, relativePort: 4, portGroup: 5, scsiName: 8 } as const
const PROTOCOL_ISCSI = 0x50
const PIV = 0x80

/** Whether a designator of page 83h with ASSOCIATION 00b, cut where a CSCD descriptor ends, is one of this unit's. */
export function designatesUnit(unit: LogicalUnit, type: number, value: Buffer): boolean {
  if (type === Designator.naa) return value.equals(unit.volume.naa)
  return type === Designator.t10 && value.equals(t10Designator(unit).subarray(0, DESIGNATOR_BYTES_MAX))
}

function t10Designator({ target, volume }: LogicalUnit): Buffer {
  return Buffer.concat([asciiField(target.identity.vendor, 8), Buffer.from(serialNumber(volume), 'ascii')])
}

/** SPC-5 §7.7.6. The peer's small number is portal group tag, relative port and target port group in one. */
function deviceIdentification(link: ItlNexus): Buffer {
  const { unit, nexus } = link
  const { name } = unit.target
  const tag = nexus.targetPortalGroupTag
  const port = Buffer.alloc(4)
  port.writeUInt16BE(tag, 2)
  const portName = `${name},t,0x${tag.toString(16).padStart(4, '0')}`
  return Buffer.concat([
    designator(CodeSet.binary, Association.unit, Designator.naa, unit.volume.naa),
    designator(CodeSet.ascii, Association.unit, Designator.t10, t10Designator(unit)),
    designator(CodeSet.binary, Association.port, Designator.relativePort, port),
    designator(CodeSet.binary, Association.port, Designator.portGroup, port),
    designator(CodeSet.utf8, Association.port, Designator.scsiName, scsiName(portName)),
    designator(CodeSet.utf8, Association.device, Designator.scsiName, scsiName(name)),
  ])
}

/** Null-terminated and padded to a multiple of four. SPC-5 §7.7.6.11. */
function scsiName(name: string): Buffer {
  const text = Buffer.from(name, 'utf8')
  return Buffer.concat([text, Buffer.alloc(4 - (text.length % 4))])
}

function designator(codeSet: number, association: number, type: number, value: Buffer): Buffer {
  const isOfPort = association !== Association.unit
  const protocol = isOfPort ? PROTOCOL_ISCSI : 0
  const header = Buffer.of(protocol | codeSet, (isOfPort ? PIV : 0) | association | type, 0, value.length)
  return Buffer.concat([header, value])
}

const SIMPSUP = 0x01
const ORDSUP = 0x02
const HEADSUP = 0x04
const V_SUP = 0x01
const LUICLR = 0x01

/** SPC-5 §7.7.7. */
function extendedInquiryData(): Buffer {
  const body = Buffer.alloc(60)
  body[1] = SIMPSUP | ORDSUP | HEADSUP
  body[2] = V_SUP
  body[3] = LUICLR
  body[9] = SENSE_BYTES_MAX
  return body
}

const UGAVALID = 0x80000000

/** SBC-4 §6.6.4: exactly what the commands enforce. Atomic writes need no alignment and know no boundaries. */
function blockLimits(link: ItlNexus): Buffer {
  const { blockSizeBytes } = link.unit.volume
  const body = Buffer.alloc(60)
  const physicalBlock = PHYSICAL_BLOCK_BYTES / blockSizeBytes
  body[1] = COMPARE_AND_WRITE_BLOCKS_MAX
  body.writeUInt16BE(physicalBlock, 2)
  body.writeUInt32BE(TRANSFER_BYTES_MAX / blockSizeBytes, 4)
  body.writeUInt32BE(TRANSFER_BYTES_OPTIMAL / blockSizeBytes, 8)
  body.writeUInt32BE(UNMAP_BLOCKS_MAX, 16)
  body.writeUInt32BE(UNMAP_DESCRIPTORS_MAX, 20)
  body.writeUInt32BE(physicalBlock, 24)
  body.writeUInt32BE(UGAVALID, 28)
  body.writeBigUInt64BE(BigInt(WRITE_SAME_BYTES_MAX / blockSizeBytes), 32)
  body.writeUInt32BE(ATOMIC_WRITE_BLOCKS_MAX, 40)
  return body
}

const NON_ROTATING = 1
/** WABEREQ 01b: after a block erase reads end without error, and what they return is not said. */
const READS_AFTER_BLOCK_ERASE = 0x40

/** SBC-4 §6.6.2. */
function blockDeviceCharacteristics(): Buffer {
  const body = Buffer.alloc(60)
  body.writeUInt16BE(NON_ROTATING, 0)
  body[3] = READS_AFTER_BLOCK_ERASE
  return body
}

const LBPU = 0x80
const LBPWS = 0x40
const LBPWS10 = 0x20
const LBPRZ = 0x04
const THIN = 0x02

/** SBC-4 §6.6.7. */
function logicalBlockProvisioning(link: ItlNexus): Buffer {
  const thresholdExponent = Math.log2(THRESHOLD_SET_BYTES / link.unit.volume.blockSizeBytes)
  return Buffer.of(thresholdExponent, LBPU | LBPWS | LBPWS10 | LBPRZ, THIN, 0)
}
