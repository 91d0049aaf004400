/** Command descriptor blocks that the tests send. SPC-5, SBC-4. */

const INQUIRY = 0x12
const READ_10 = 0x28
const WRITE_10 = 0x2a
const READ_16 = 0x88
const WRITE_16 = 0x8a

export function testUnitReady(): Buffer {
  return Buffer.alloc(6)
}

export function inquiry(allocationLength: number, page?: number): Buffer {
  const cdb = Buffer.from([INQUIRY, page === undefined ? 0 : 1, page ?? 0, 0, 0, 0])
  cdb.writeUInt16BE(allocationLength, 3)
  return cdb
}

function transfer10(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(10)
  cdb[0] = opcode
  cdb.writeUInt32BE(lba, 2)
  cdb.writeUInt16BE(blocks, 7)
  return cdb
}

function transfer16(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16)
  cdb[0] = opcode
  cdb.writeBigUInt64BE(BigInt(lba), 2)
  cdb.writeUInt32BE(blocks, 10)
  return cdb
}

export const read10 = (lba: number, blocks: number) => transfer10(READ_10, lba, blocks)
export const write10 = (lba: number, blocks: number) => transfer10(WRITE_10, lba, blocks)
export const read16 = (lba: number, blocks: number) => transfer16(READ_16, lba, blocks)
export const write16 = (lba: number, blocks: number) => transfer16(WRITE_16, lba, blocks)
