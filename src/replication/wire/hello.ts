import { crc32c, crc32cOfHeader } from '../../lib/crc32c.ts'
import type { PeerIdentity } from '../peer-network.ts'
import { HELLO_BODY_BYTES_MAX } from './limits.ts'

/** docs/design/004-peer-wire.md. This layout holds for every version. */
const HELLO_AT = { magic: 0, lowest: 4, highest: 6, bodyBytes: 8, bodyChecksum: 12, checksum: 16 } as const
export const HELLO_HEADER_BYTES = 20
export const HELLO_BYTES_MAX = HELLO_HEADER_BYTES + HELLO_BODY_BYTES_MAX
/** "HFPW". */
const MAGIC = 0x57504648
const TEXT_MAX = 256

export interface Versions {
  readonly lowest: number
  readonly highest: number
}

/** What this program speaks: its own version and, once there is one, the version before. */
export const VERSIONS: Versions = { lowest: 1, highest: 1 }

export interface Hello {
  readonly versions: Versions
  readonly identity: PeerIdentity
  /** The dialling side's number of this connection; an answer repeats it. */
  readonly connection: number
}

/** An answer instead of a hello. */
export interface HelloRefusal {
  readonly versions: Versions
  readonly refused: { readonly code: string; readonly message: string }
}

export type HelloFault = 'badMagic' | 'badHelloChecksum' | 'helloTooLong' | 'badHello'

export type DecodedHello =
  | { readonly is: 'hello'; readonly hello: Hello; readonly endAt: number }
  | { readonly is: 'refusal'; readonly refusal: HelloRefusal; readonly endAt: number }
  | { readonly is: 'incomplete' }
  | { readonly is: 'fault'; readonly fault: HelloFault }

/** The highest version that both sides speak, or null. */
export function chooseVersion(ours: Versions, theirs: Versions): number | null {
  const highest = Math.min(ours.highest, theirs.highest)
  return highest >= Math.max(ours.lowest, theirs.lowest) ? highest : null
}

export function encodeHello(hello: Hello | HelloRefusal): Buffer {
  const { versions, ...said } = hello
  const body = Buffer.from(JSON.stringify(said))
  const header = Buffer.alloc(HELLO_HEADER_BYTES)
  header.writeUInt32LE(MAGIC, HELLO_AT.magic)
  header.writeUInt16LE(versions.lowest, HELLO_AT.lowest)
  header.writeUInt16LE(versions.highest, HELLO_AT.highest)
  header.writeUInt32LE(body.length, HELLO_AT.bodyBytes)
  header.writeUInt32LE(crc32c(body), HELLO_AT.bodyChecksum)
  header.writeUInt32LE(crc32cOfHeader(header, 0, HELLO_AT.checksum), HELLO_AT.checksum)
  return Buffer.concat([header, body])
}

/** What begins `bytes`. Never throws; looks at no more than HELLO_BYTES_MAX. */
export function decodeHello(bytes: Buffer): DecodedHello {
  if (bytes.length >= 4 && bytes.readUInt32LE(HELLO_AT.magic) !== MAGIC) return fault('badMagic')
  if (bytes.length < HELLO_HEADER_BYTES) return { is: 'incomplete' }
  if (bytes.readUInt32LE(HELLO_AT.checksum) !== crc32cOfHeader(bytes, 0, HELLO_AT.checksum)) {
    return fault('badHelloChecksum')
  }
  const bodyBytes = bytes.readUInt32LE(HELLO_AT.bodyBytes)
  if (bodyBytes > HELLO_BODY_BYTES_MAX) return fault('helloTooLong')
  const endAt = HELLO_HEADER_BYTES + bodyBytes
  if (bytes.length < endAt) return { is: 'incomplete' }
  if (crc32c(bytes, HELLO_HEADER_BYTES, bodyBytes) !== bytes.readUInt32LE(HELLO_AT.bodyChecksum)) {
    return fault('badHelloChecksum')
  }
  const said = parseObject(bytes.toString('utf8', HELLO_HEADER_BYTES, endAt))
  const versions = {
    lowest: bytes.readUInt16LE(HELLO_AT.lowest),
    highest: bytes.readUInt16LE(HELLO_AT.highest),
  }
  if (said === null || versions.lowest > versions.highest) return fault('badHello')
  const refused = refusalOf(said.refused)
  if (refused !== null) return { is: 'refusal', refusal: { versions, refused }, endAt }
  const identity = identityOf(said.identity)
  const connection = numberOf(said.connection)
  if (identity === null || connection === null) return fault('badHello')
  return { is: 'hello', hello: { versions, identity, connection }, endAt }
}

function fault(what: HelloFault): DecodedHello {
  return { is: 'fault', fault: what }
}

function identityOf(value: unknown): PeerIdentity | null {
  if (!isObject(value)) return null
  const clusterId = textOf(value.clusterId)
  const peerId = textOf(value.peerId)
  const peerNumber = numberOf(value.peerNumber)
  const brickUuid = textOf(value.brickUuid)
  const openCounter = numberOf(value.openCounter)
  const bootId = textOf(value.bootId)
  const incarnation = textOf(value.incarnation)
  if (clusterId === null || peerId === null || peerNumber === null || brickUuid === null) return null
  if (openCounter === null || bootId === null || incarnation === null) return null
  return { clusterId, peerId, peerNumber, brickUuid, openCounter, bootId, incarnation }
}

function refusalOf(value: unknown): HelloRefusal['refused'] | null {
  if (!isObject(value)) return null
  const code = textOf(value.code)
  return code === null ? null : { code, message: String(value.message) }
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.length <= TEXT_MAX ? value : null
}

function numberOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null
}
