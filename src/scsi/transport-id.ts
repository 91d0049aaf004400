import type { InitiatorPort } from '../volume/reservations/reservation-state.ts'

/** iSCSI TransportID with the initiator's name and ISID. SPC-5 §7.6.4.6. */
const FORMAT_AND_PROTOCOL = 0x45
const HEADER_BYTES = 4
const NAME_BYTES_MIN = 20
/** The name with its separator and ISID, null-terminated, padded: RFC 7143 §4.2.7.1 has names of 223 bytes. */
const NAME_BYTES_MAX = 244
const SEPARATOR = ',i,0x'
const ISID = /^[0-9a-f]{12}$/

export function encodeTransportId({ initiatorName, isid }: InitiatorPort): Buffer {
  const name = Buffer.from(`${initiatorName}${SEPARATOR}${isid}`, 'utf8')
  const padded = Math.max(NAME_BYTES_MIN, Math.ceil((name.length + 1) / 4) * 4)
  const transportId = Buffer.alloc(HEADER_BYTES + padded)
  transportId[0] = FORMAT_AND_PROTOCOL
  transportId.writeUInt16BE(padded, 2)
  name.copy(transportId, HEADER_BYTES)
  return transportId
}

/**
 * The initiator port at the beginning of `bytes` and how long its TransportID is, or null for anything else. An
 * initiator without an ISID (format 00b) is no port: which ports it has is not known here.
 */
export function decodeTransportId(
  bytes: Buffer,
): { readonly port: InitiatorPort; readonly lengthBytes: number } | null {
  if (bytes.length < HEADER_BYTES + NAME_BYTES_MIN || bytes[0] !== FORMAT_AND_PROTOCOL) return null
  const nameBytes = bytes.readUInt16BE(2)
  const end = HEADER_BYTES + nameBytes
  if (nameBytes < NAME_BYTES_MIN || nameBytes > NAME_BYTES_MAX || nameBytes % 4 !== 0) return null
  if (end > bytes.length) return null
  const terminator = bytes.indexOf(0, HEADER_BYTES)
  if (terminator < 0 || terminator >= end) return null
  const text = bytes.toString('utf8', HEADER_BYTES, terminator)
  const at = text.lastIndexOf(SEPARATOR)
  const isid = text.slice(at + SEPARATOR.length).toLowerCase()
  if (at <= 0 || !ISID.test(isid)) return null
  return { port: { initiatorName: text.slice(0, at), isid }, lengthBytes: end }
}

/** All of `bytes` as TransportIDs one after the other, or null. */
export function decodeTransportIds(bytes: Buffer): readonly InitiatorPort[] | null {
  const ports: InitiatorPort[] = []
  for (let at = 0; at < bytes.length; ) {
    const decoded = decodeTransportId(bytes.subarray(at))
    if (decoded === null) return null
    ports.push(decoded.port)
    at += decoded.lengthBytes
  }
  return ports
}
