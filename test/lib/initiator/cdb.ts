/** Command descriptor blocks that the tests send. SPC-5, SBC-4. */

const INQUIRY = 0x12
const READ_16 = 0x88
const WRITE_16 = 0x8a

export function inquiry(allocationLength: number, page?: number): Buffer {
  const cdb = Buffer.from([INQUIRY, page === undefined ? 0 : 1, page ?? 0, 0, 0, 0])
  cdb.writeUInt16BE(allocationLength, 3)
  return cdb
}

function transfer16(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16)
  cdb[0] = opcode
  cdb.writeBigUInt64BE(BigInt(lba), 2)
  cdb.writeUInt32BE(blocks, 10)
  return cdb
}

export const read16 = (lba: number, blocks: number) => transfer16(READ_16, lba, blocks)
export const write16 = (lba: number, blocks: number) => transfer16(WRITE_16, lba, blocks)
