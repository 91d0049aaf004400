// Field readers and usage patterns shared by several CDB layouts. SPC-5 §4.2.5, SBC-4 §4.2.

/** Bits of byte 1 of most commands that move blocks. */
export const DPO = 0x10
export const FUA = 0x08

const ONES_32 = [0xff, 0xff, 0xff, 0xff] as const
export const USAGE_8 = [0xff] as const
export const USAGE_16 = [0xff, 0xff] as const
export const USAGE_32 = ONES_32
export const USAGE_64 = [...ONES_32, ...ONES_32] as const

const TWO_32 = 2 ** 32

/** A 64-bit LBA as a number: exact as far as any volume reaches, and far out of range beyond that. */
export function readLba64(cdb: Buffer, at: number): number {
  return cdb.readUInt32BE(at) * TWO_32 + cdb.readUInt32BE(at + 4)
}

/** The 21-bit LOGICAL BLOCK ADDRESS of six-byte CDBs. */
export function readLba21(cdb: Buffer): number {
  return ((cdb[1]! & 0x1f) << 16) | (cdb[2]! << 8) | cdb[3]!
}
