/** The unit that the checker follows: nothing a client does is smaller. */
export const SECTOR_BYTES = 512
const WORDS_PER_SECTOR = SECTOR_BYTES / 4

/** What a sector says when it holds none of the things that a client ever wrote there. */
export const GARBAGE = -1

/**
 * Fills sectors so that each says which operation wrote it, and where: `value` is unique in a run, `place` names
 * the volume and the sector. 0 stands for zeroes.
 */
export function fillSectors(
  into: Buffer,
  at: number,
  volume: number,
  first: number,
  count: number,
  value: number,
): void {
  for (let i = 0; i < count; i++) {
    const start = at + i * SECTOR_BYTES
    const place = placeOf(volume, first + i)
    for (let word = 0; word < WORDS_PER_SECTOR; word += 2) {
      into.writeUInt32LE(value, start + word * 4)
      into.writeUInt32LE(place, start + word * 4 + 4)
    }
  }
}

/** The value of a sector read, or GARBAGE when it is torn, of another place or of another volume. */
export function sectorValue(from: Buffer, at: number, volume: number, sector: number): number {
  const value = from.readUInt32LE(at)
  const place = value === 0 ? 0 : placeOf(volume, sector)
  // The first, a middle and the last pair: a tear is at a sector's border, a stray byte is rare.
  for (let word = 0; word < WORDS_PER_SECTOR; word += 2) {
    if (from.readUInt32LE(at + word * 4) !== value || from.readUInt32LE(at + word * 4 + 4) !== place)
      return GARBAGE
  }
  return value
}

/** As sectorValue(), by its first word only. */
export function sectorValueQuick(from: Buffer, at: number): number {
  return from.readUInt32LE(at)
}

function placeOf(volume: number, sector: number): number {
  return ((volume + 1) * 0x10000000 + sector) >>> 0
}
