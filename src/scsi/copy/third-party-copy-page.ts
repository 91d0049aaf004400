import {
  COPIES_MAX,
  CSCD_DESCRIPTORS_MAX,
  CSCD_ID_SELF,
  CSCD_IDENTIFICATION,
  DESCRIPTOR_LIST_BYTES_MAX,
  SEGMENT_BLOCK_TO_BLOCK,
  SEGMENT_BYTES_MAX,
  SEGMENT_DESCRIPTORS_MAX,
} from './copy-limits.ts'

const Descriptor = {
  supportedCommands: 0x0001,
  parameterData: 0x0004,
  supportedDescriptors: 0x0008,
  supportedCscdIds: 0x000c,
  generalCopyOperations: 0x8001,
} as const

/** Operation codes with their service actions. */
const COMMANDS = [
  [0x83, [0x00]],
  [0x84, [0x00, 0x03, 0x04]],
] as const

/** Third-party Copy VPD page. SPC-5 §7.7.17. */
export function thirdPartyCopy(): Buffer {
  const commands = COMMANDS.flatMap(([code, actions]) => [code, actions.length, ...actions])
  const parameters = Buffer.alloc(28)
  parameters.writeUInt16BE(CSCD_DESCRIPTORS_MAX, 4)
  parameters.writeUInt16BE(SEGMENT_DESCRIPTORS_MAX, 6)
  parameters.writeUInt32BE(DESCRIPTOR_LIST_BYTES_MAX, 8)
  const operations = Buffer.alloc(32)
  operations.writeUInt32BE(COPIES_MAX, 0)
  operations.writeUInt32BE(COPIES_MAX, 4)
  operations.writeUInt32BE(SEGMENT_BYTES_MAX, 8)
  return Buffer.concat([
    descriptor(Descriptor.supportedCommands, Buffer.of(commands.length, ...commands)),
    descriptor(Descriptor.parameterData, parameters),
    descriptor(Descriptor.supportedDescriptors, Buffer.of(2, SEGMENT_BLOCK_TO_BLOCK, CSCD_IDENTIFICATION)),
    descriptor(Descriptor.supportedCscdIds, Buffer.of(0, 2, CSCD_ID_SELF >> 8, CSCD_ID_SELF & 0xff)),
    descriptor(Descriptor.generalCopyOperations, operations),
  ])
}

/** Type, length and body, padded to a multiple of four. */
function descriptor(type: number, body: Buffer): Buffer {
  const padded = Buffer.alloc(4 + Math.ceil(body.length / 4) * 4)
  padded.writeUInt16BE(type, 0)
  padded.writeUInt16BE(padded.length - 4, 2)
  body.copy(padded, 4)
  return padded
}
