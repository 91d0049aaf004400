import type { KeyValue, WatchEvent } from '../metadata-store.ts'

/**
 * Layout of the embedded store: one LMDB database, the first byte of a key names the table. Integers are
 * big-endian so that keys sort by number. docs/design/002-metadata-layout.md.
 */
const Table = { meta: 0x01, current: 0x10, history: 0x20, lease: 0x30, attached: 0x31 } as const

/** LMDB takes keys of up to 1978 bytes on 4 KiB pages; `attached` puts nine bytes before ours. */
export const KEY_BYTES_MAX = 1024
/** As etcd's default request limit. */
export const VALUE_BYTES_MAX = 1024 * 1024

const RECORD_HEADER_BYTES = 32
const EventType = { put: 1, delete: 2 } as const

export function metaKey(name: 'format' | 'revision' | 'compacted'): Buffer {
  return Buffer.concat([Buffer.of(Table.meta), Buffer.from(name)])
}

export function currentKey(key: string): Buffer {
  return Buffer.concat([Buffer.of(Table.current), Buffer.from(key)])
}

export function keyOfCurrent(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1).toString()
}

/** First key of the history at `revision`; `index` counts the events within it. */
export function historyKey(revision: bigint, index = 0): Buffer {
  const bytes = Buffer.alloc(13)
  bytes[0] = Table.history
  bytes.writeBigUInt64BE(revision, 1)
  bytes.writeUInt32BE(index, 9)
  return bytes
}

export const HISTORY_END = Buffer.of(Table.history + 1)
export const LEASES_START = Buffer.of(Table.lease)
export const LEASES_END = Buffer.of(Table.lease + 1)

export function revisionOfHistory(bytes: Uint8Array): bigint {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readBigUInt64BE(1)
}

export function leaseKey(lease: bigint): Buffer {
  const bytes = Buffer.alloc(9)
  bytes[0] = Table.lease
  bytes.writeBigUInt64BE(lease, 1)
  return bytes
}

export function leaseOfKey(bytes: Uint8Array): bigint {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readBigUInt64BE(1)
}

/** Marks that `key` hangs on `lease`; without a key, what all of the lease's marks start with. */
export function attachedKey(lease: bigint, key = ''): Buffer {
  const bytes = Buffer.concat([leaseKey(lease), Buffer.from(key)])
  bytes[0] = Table.attached
  return bytes
}

export function keyOfAttached(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + 9, bytes.length - 9).toString()
}

/** The smallest key after every key that starts with `prefix`, whose last byte is below 0xff (UTF-8). */
export function endOfPrefix(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return end
}

export function encodeU64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

export function encodeRecord(entry: KeyValue): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_HEADER_BYTES + entry.value.length)
  bytes.writeBigUInt64BE(entry.createRevision, 0)
  bytes.writeBigUInt64BE(entry.modRevision, 8)
  bytes.writeBigUInt64BE(entry.version, 16)
  bytes.writeBigUInt64BE(entry.lease, 24)
  entry.value.copy(bytes, RECORD_HEADER_BYTES)
  return bytes
}

export function decodeRecord(key: string, bytes: Buffer): KeyValue {
  return {
    key,
    createRevision: bytes.readBigUInt64BE(0),
    modRevision: bytes.readBigUInt64BE(8),
    version: bytes.readBigUInt64BE(16),
    lease: bytes.readBigUInt64BE(24),
    value: bytes.subarray(RECORD_HEADER_BYTES),
  }
}

export function encodeEvent(event: WatchEvent): Buffer {
  const key = Buffer.from(event.type === 'put' ? event.entry.key : event.key)
  const head = Buffer.alloc(3)
  head[0] = EventType[event.type]
  head.writeUInt16BE(key.length, 1)
  return Buffer.concat(event.type === 'put' ? [head, key, encodeRecord(event.entry)] : [head, key])
}

export function decodeEvent(bytes: Buffer, modRevision: bigint): WatchEvent {
  const keyEnd = 3 + bytes.readUInt16BE(1)
  const key = bytes.toString('utf8', 3, keyEnd)
  if (bytes[0] === EventType.delete) return { type: 'delete', key, modRevision }
  return { type: 'put', entry: decodeRecord(key, bytes.subarray(keyEnd)) }
}
