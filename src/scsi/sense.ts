import type { ScsiCommand } from './scsi-command.ts'
import { ScsiStatus } from './scsi-command.ts'

/** Sense key, additional sense code and qualifier. SPC-5 §4.4.8 and annex F. */
export type SenseCode = readonly [key: number, asc: number, ascq: number]

/** Named as annex F of SPC-5 names them. */
export const Sense = {
  noAdditionalSense: [0x0, 0x00, 0x00],
  mediumNotPresent: [0x2, 0x3a, 0x00],
  operationInProgress: [0x5, 0x00, 0x16],
  parameterListLengthError: [0x5, 0x1a, 0x00],
  invalidCommandOperationCode: [0x5, 0x20, 0x00],
  logicalBlockAddressOutOfRange: [0x5, 0x21, 0x00],
  invalidFieldInCdb: [0x5, 0x24, 0x00],
  logicalUnitNotSupported: [0x5, 0x25, 0x00],
  invalidFieldInParameterList: [0x5, 0x26, 0x00],
  invalidReleaseOfPersistentReservation: [0x5, 0x26, 0x04],
  tooManyTargetDescriptors: [0x5, 0x26, 0x06],
  unsupportedTargetDescriptorType: [0x5, 0x26, 0x07],
  tooManySegmentDescriptors: [0x5, 0x26, 0x08],
  unsupportedSegmentDescriptorType: [0x5, 0x26, 0x09],
  inlineDataLengthExceeded: [0x5, 0x26, 0x0b],
  savingParametersNotSupported: [0x5, 0x39, 0x00],
  mediumRemovalPrevented: [0x5, 0x53, 0x02],
  insufficientRegistrationResources: [0x5, 0x55, 0x04],
  writeProtected: [0x7, 0x27, 0x00],
  logicalUnitSoftwareWriteProtected: [0x7, 0x27, 0x02],
  spaceAllocationFailed: [0x7, 0x27, 0x07],
  copyAborted: [0xa, 0x00, 0x00],
  unreachableCopyTarget: [0xa, 0x08, 0x04],
  thirdPartyDeviceFailure: [0xa, 0x0d, 0x01],
  unexpectedInexactSegment: [0xa, 0x26, 0x0a],
  invalidMessageError: [0xb, 0x49, 0x00],
} as const satisfies Record<string, SenseCode>

export interface SenseDetails {
  /** INFORMATION field: an LBA, or for a miscompare the offset into the data-out. SPC-5 §4.4.2.2. */
  readonly information?: number
  /** SENSE KEY SPECIFIC of ILLEGAL REQUEST: which byte (and bit) is at fault. SPC-5 §4.4.2.4.2. */
  readonly field?: { readonly inCdb: boolean; readonly byte: number; readonly bit?: number }
  /** SENSE KEY SPECIFIC of NOT READY and NO SENSE: how much of it is done, 0 to 1. SPC-5 §4.4.2.4.4. */
  readonly progress?: number
  /** Of a command that was answered with GOOD before it failed. SPC-5 §4.4.6. */
  readonly deferred?: boolean
}

const FIXED_BYTES = 18
const DESCRIPTOR_HEADER_BYTES = 8

/** Encodes sense data into `into`, in descriptor or fixed format, and answers its length. SPC-5 §4.4. */
export function encodeSense(
  into: Buffer,
  descriptorFormat: boolean,
  code: SenseCode,
  details: SenseDetails = {},
): number {
  return descriptorFormat ? encodeDescriptor(into, code, details) : encodeFixed(into, code, details)
}

function encodeFixed(into: Buffer, [key, asc, ascq]: SenseCode, details: SenseDetails): number {
  into.fill(0, 0, FIXED_BYTES)
  into[0] = details.deferred === true ? 0x71 : 0x70
  into[2] = key
  const { information } = details
  // The fixed format has 32 bits for INFORMATION: what does not fit is left invalid.
  if (information !== undefined && information <= 0xffffffff) {
    into[0] |= 0x80
    into.writeUInt32BE(information, 3)
  }
  into[7] = FIXED_BYTES - 8
  into[12] = asc
  into[13] = ascq
  encodeKeySpecific(into, 15, details)
  return FIXED_BYTES
}

function encodeDescriptor(into: Buffer, [key, asc, ascq]: SenseCode, details: SenseDetails): number {
  let at = DESCRIPTOR_HEADER_BYTES
  into.fill(0, 0, at + 12 + 8)
  into[0] = details.deferred === true ? 0x73 : 0x72
  into[1] = key
  into[2] = asc
  into[3] = ascq
  if (details.information !== undefined) {
    into[at + 1] = 0x0a
    into[at + 2] = 0x80
    into.writeBigUInt64BE(BigInt(details.information), at + 4)
    at += 12
  }
  if (encodeKeySpecific(into, at + 4, details)) {
    into[at] = 0x02
    into[at + 1] = 0x06
    at += 8
  }
  into[7] = at - DESCRIPTOR_HEADER_BYTES
  return at
}

const SKSV = 0x80
const PROGRESS_MAX = 0xffff

/** The three bytes of SENSE KEY SPECIFIC, where there is something for them. */
function encodeKeySpecific(into: Buffer, at: number, { field, progress }: SenseDetails): boolean {
  if (field !== undefined) encodeFieldPointer(into, at, field)
  else if (progress !== undefined) {
    into[at] = SKSV
    into.writeUInt16BE(Math.min(Math.floor(progress * (PROGRESS_MAX + 1)), PROGRESS_MAX), at + 1)
  } else return false
  return true
}

function encodeFieldPointer(into: Buffer, at: number, field: NonNullable<SenseDetails['field']>): void {
  const cdb = field.inCdb ? 0x40 : 0
  const bit = field.bit === undefined ? 0 : 0x08 | field.bit
  into[at] = SKSV | cdb | bit
  into.writeUInt16BE(field.byte, at + 1)
}

/** Turns the answer into CHECK CONDITION with this sense; data-in is dropped. */
export function setCheckCondition(
  command: ScsiCommand,
  descriptorFormat: boolean,
  code: SenseCode,
  details?: SenseDetails,
): void {
  command.status = ScsiStatus.checkCondition
  command.senseLength = encodeSense(command.sense, descriptorFormat, code, details)
  command.dataIn = null
  command.dataInSource = null
  command.dataInLength = 0
}

/** Turns the answer into TASK ABORTED. `isSending`: what of its data-in the transport has sent already stays. SAM-5 §5.3.1. */
export function setTaskAborted(command: ScsiCommand, isSending: boolean): void {
  command.status = ScsiStatus.taskAborted
  command.senseLength = 0
  // A source that has ended answers 'failed', and what was sent before is what counts.
  if (isSending) return
  command.dataIn = null
  command.dataInSource = null
  command.dataInLength = 0
}
