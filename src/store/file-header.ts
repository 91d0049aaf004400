import { HoldfastError } from '../errors/holdfast-error.ts'
import { crc32c } from '../lib/crc32c.ts'
import { PAGE_BYTES } from './layout.ts'
import { uuidBytes, uuidText } from './uuid-bytes.ts'

export const BRICK_FORMAT = 1

export const FileKind = {
  data: 'HFDATA..',
  checksums: 'HFCSUM..',
  stamps: 'HFSTAMP.',
  activity: 'HFACTIVE',
} as const
export type FileKind = (typeof FileKind)[keyof typeof FileKind]

const AT = { magic: 0, version: 8, brickUuid: 12, number: 28, crc: 32, end: 36 } as const

/** The first page of every flat file of a brick. `number` counts the files of a kind. */
export function encodeFileHeader(kind: FileKind, brickUuid: string, number: number): Buffer {
  const page = Buffer.alloc(PAGE_BYTES)
  page.write(kind, AT.magic, 'latin1')
  page.writeUInt32LE(BRICK_FORMAT, AT.version)
  uuidBytes(brickUuid).copy(page, AT.brickUuid)
  page.writeUInt32LE(number, AT.number)
  page.writeUInt32LE(crc32c(page, 0, AT.crc), AT.crc)
  return page
}

/** Throws ERR_BRICK_FORMAT for a newer version, ERR_BRICK_DAMAGED for anything else that does not belong. */
export function checkFileHeader(
  page: Buffer,
  expected: { kind: FileKind; brickUuid: string; number: number; path: string },
): void {
  const damaged = (what: string) => new HoldfastError('ERR_BRICK_DAMAGED', `${expected.path} ${what}`)
  if (page.toString('latin1', AT.magic, AT.version) !== expected.kind)
    throw damaged('has no header of a brick')
  refuseNewerFormat(page.readUInt32LE(AT.version), expected.path)
  if (page.readUInt32LE(AT.crc) !== crc32c(page, 0, AT.crc))
    throw damaged('has a header that fails its checksum')
  const uuid = uuidText(page.subarray(AT.brickUuid, AT.number))
  if (uuid !== expected.brickUuid) throw damaged(`belongs to brick ${uuid}, not to ${expected.brickUuid}`)
  if (page.readUInt32LE(AT.number) !== expected.number)
    throw damaged('is another file of the brick under its name')
}

export function refuseNewerFormat(version: number, path: string): void {
  if (version === BRICK_FORMAT) return
  throw new HoldfastError(
    'ERR_BRICK_FORMAT',
    `${path} has brick format ${version}, this version of holdfast knows format ${BRICK_FORMAT}`,
  )
}
