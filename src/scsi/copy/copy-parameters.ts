import { readLba64 } from '../cdb.ts'
import { Sense, type SenseCode } from '../sense.ts'
import {
  CSCD_DESCRIPTOR_BYTES,
  CSCD_DESCRIPTORS_MAX,
  CSCD_IDENTIFICATION,
  DESCRIPTOR_LIST_BYTES_MAX,
  DESIGNATOR_BYTES_MAX,
  SEGMENT_BLOCK_TO_BLOCK,
  SEGMENT_DESCRIPTORS_MAX,
} from './copy-limits.ts'

/** A copy source or copy destination, by a designator of VPD page 83h. */
export interface CopyDevice {
  readonly designatorType: number
  readonly designator: Buffer
  readonly blockSizeBytes: number
}

export interface CopySegment {
  /** Index of a CopyDevice, or CSCD_ID_SELF. */
  readonly source: number
  readonly destination: number
  readonly blocks: number
  /** DC: `blocks` counts those of the destination. */
  readonly countsDestination: boolean
  readonly sourceLba: number
  readonly destinationLba: number
}

export interface CopyRequest {
  /** null: LIST ID USAGE 11b, the initiator will not ask for results. */
  readonly listId: number | null
  readonly devices: readonly CopyDevice[]
  readonly segments: readonly CopySegment[]
}

export type DecodedCopy =
  | { readonly request: CopyRequest }
  /** `byte` of the parameter list is at fault, where it can be said. */
  | { readonly refused: SenseCode; readonly byte?: number }

const HEADER_BYTES = 16
const HEADER_AT = { listId: 0, flags: 1, devicesLength: 2, segmentsLength: 8, inlineLength: 12 } as const
const LIST_ID_USAGE = 0x18
const Usage = { hold: 0x00, reserved: 0x08, discard: 0x10, none: 0x18 } as const

export const COPY_PARAMETERS_BYTES_MAX = HEADER_BYTES + DESCRIPTOR_LIST_BYTES_MAX

const DEVICE_AT = {
  type: 0,
  peripheral: 1,
  designatorType: 5,
  length: 7,
  designator: 8,
  blockLength: 29,
} as const
const BLOCK_DEVICE = 0x00
const PERIPHERAL_TYPE = 0x1f
/** ASSOCIATION and DESIGNATOR TYPE; an association other than the logical unit's names no logical unit. */
const DESIGNATOR = 0x3f

const SEGMENT_AT = {
  type: 0,
  flags: 1,
  length: 2,
  source: 4,
  destination: 6,
  blocks: 10,
  sourceLba: 12,
  destinationLba: 20,
} as const
const SEGMENT_BYTES = 28
const DC = 0x02

/** The parameter list of EXTENDED COPY (LID1), checked before anything is copied. SPC-5 §6.4.3. */
export function decodeCopy(list: Buffer): DecodedCopy {
  if (list.length < HEADER_BYTES) return { refused: Sense.parameterListLengthError }
  const usage = list[HEADER_AT.flags]! & LIST_ID_USAGE
  if (usage === Usage.reserved) return invalid(HEADER_AT.flags)
  const listId = list[HEADER_AT.listId]!
  if (usage === Usage.none && listId !== 0) return invalid(HEADER_AT.listId)
  const segmentsAt = HEADER_BYTES + list.readUInt16BE(HEADER_AT.devicesLength)
  const end = segmentsAt + list.readUInt32BE(HEADER_AT.segmentsLength)
  if (end > list.length) return { refused: Sense.parameterListLengthError }
  if (list.readUInt32BE(HEADER_AT.inlineLength) !== 0) return { refused: Sense.inlineDataLengthExceeded }
  const devices = decodeDevices(list, segmentsAt)
  if ('refused' in devices) return devices
  const segments = decodeSegments(list, segmentsAt, end)
  if ('refused' in segments) return segments
  return { request: { listId: usage === Usage.none ? null : listId, ...devices, ...segments } }
}

type Refusal = Extract<DecodedCopy, { refused: SenseCode }>

function invalid(byte: number): Refusal {
  return { refused: Sense.invalidFieldInParameterList, byte }
}

function decodeDevices(list: Buffer, end: number): Refusal | { devices: CopyDevice[] } {
  const devices: CopyDevice[] = []
  for (let at = HEADER_BYTES; at < end; at += CSCD_DESCRIPTOR_BYTES) {
    if (devices.length === CSCD_DESCRIPTORS_MAX) return { refused: Sense.tooManyTargetDescriptors }
    if (list[at + DEVICE_AT.type] !== CSCD_IDENTIFICATION) {
      return { refused: Sense.unsupportedTargetDescriptorType, byte: at }
    }
    if (at + CSCD_DESCRIPTOR_BYTES > end) return { refused: Sense.parameterListLengthError }
    const isBlockDevice = (list[at + DEVICE_AT.peripheral]! & PERIPHERAL_TYPE) === BLOCK_DEVICE
    if (!isBlockDevice) return invalid(at + DEVICE_AT.peripheral)
    const lengthBytes = list[at + DEVICE_AT.length]!
    if (lengthBytes > DESIGNATOR_BYTES_MAX) return invalid(at + DEVICE_AT.length)
    const designatorAt = at + DEVICE_AT.designator
    devices.push({
      designatorType: list[at + DEVICE_AT.designatorType]! & DESIGNATOR,
      designator: Buffer.from(list.subarray(designatorAt, designatorAt + lengthBytes)),
      blockSizeBytes: list.readUIntBE(at + DEVICE_AT.blockLength, 3),
    })
  }
  return { devices }
}

function decodeSegments(list: Buffer, from: number, end: number): Refusal | { segments: CopySegment[] } {
  const segments: CopySegment[] = []
  for (let at = from; at < end; at += SEGMENT_BYTES) {
    if (segments.length === SEGMENT_DESCRIPTORS_MAX) return { refused: Sense.tooManySegmentDescriptors }
    if (list[at + SEGMENT_AT.type] !== SEGMENT_BLOCK_TO_BLOCK) {
      return { refused: Sense.unsupportedSegmentDescriptorType, byte: at }
    }
    if (at + SEGMENT_BYTES > end) return { refused: Sense.parameterListLengthError }
    if (list.readUInt16BE(at + SEGMENT_AT.length) !== SEGMENT_BYTES - 4) {
      return invalid(at + SEGMENT_AT.length)
    }
    segments.push({
      source: list.readUInt16BE(at + SEGMENT_AT.source),
      destination: list.readUInt16BE(at + SEGMENT_AT.destination),
      blocks: list.readUInt16BE(at + SEGMENT_AT.blocks),
      countsDestination: (list[at + SEGMENT_AT.flags]! & DC) !== 0,
      sourceLba: readLba64(list, at + SEGMENT_AT.sourceLba),
      destinationLba: readLba64(list, at + SEGMENT_AT.destinationLba),
    })
  }
  return { segments }
}
