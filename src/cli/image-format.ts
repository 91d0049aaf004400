interface ForeignFormat {
  readonly name: string
  readonly magic: Buffer
  readonly offset: number
}

/** Formats whose blocks are not the disk's own: importing them as they are would give garbage. */
const FOREIGN: readonly ForeignFormat[] = [
  { name: 'qcow2', magic: Buffer.from('QFI\xfb', 'latin1'), offset: 0 },
  { name: 'vmdk', magic: Buffer.from('KDMV', 'latin1'), offset: 0 },
  { name: 'vhdx', magic: Buffer.from('vhdxfile', 'latin1'), offset: 0 },
  { name: 'vpc', magic: Buffer.from('conectix', 'latin1'), offset: 0 },
  { name: 'vdi', magic: Buffer.from([0x7f, 0x10, 0xda, 0xbe]), offset: 64 },
  { name: 'qed', magic: Buffer.from('QED\0', 'latin1'), offset: 0 },
]

/** Bytes from the start of a file that imageFormat wants to see. */
export const FORMAT_PROBE_BYTES = 68

/** The qemu name of the format that a file begins like, or `raw`. */
export function imageFormat(start: Buffer): string {
  const found = FOREIGN.find(({ magic, offset }) =>
    start.subarray(offset, offset + magic.length).equals(magic),
  )
  return found?.name ?? 'raw'
}
