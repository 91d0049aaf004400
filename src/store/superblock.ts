import fs from 'node:fs'
import path from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { crc32c } from '../lib/crc32c.ts'
import { BRICK_FORMAT, refuseNewerFormat } from './file-header.ts'
import type { StoreFiles } from './files/store-files.ts'
import { PAGE_BYTES } from './layout.ts'
import { uuidBytes, uuidText } from './uuid-bytes.ts'

const MAGIC = 'HFBRICK.'
const CLUSTER_ID_BYTES_MAX = 128
const AT = { magic: 0, version: 8, brickUuid: 12, createdMs: 28, clusterIdLength: 36, clusterId: 38 } as const
const CRC_AT = PAGE_BYTES - 4

export interface Superblock {
  readonly brickUuid: string
  readonly clusterId: string
  readonly createdMs: number
}

export function encodeSuperblock(superblock: Superblock): Buffer {
  const page = Buffer.alloc(PAGE_BYTES)
  page.write(MAGIC, AT.magic, 'latin1')
  page.writeUInt32LE(BRICK_FORMAT, AT.version)
  uuidBytes(superblock.brickUuid).copy(page, AT.brickUuid)
  page.writeBigUInt64LE(BigInt(superblock.createdMs), AT.createdMs)
  const clusterId = Buffer.from(superblock.clusterId)
  if (clusterId.length > CLUSTER_ID_BYTES_MAX) {
    throw new HoldfastError('ERR_ARGUMENT_INVALID', `a cluster id has at most ${CLUSTER_ID_BYTES_MAX} bytes`)
  }
  page.writeUInt16LE(clusterId.length, AT.clusterIdLength)
  clusterId.copy(page, AT.clusterId)
  page.writeUInt32LE(crc32c(page, 0, CRC_AT), CRC_AT)
  return page
}

/** Throws ERR_BRICK_FORMAT for a newer format and ERR_BRICK_DAMAGED for what is no superblock. */
export function decodeSuperblock(page: Buffer, from: string): Superblock {
  if (page.length < PAGE_BYTES || page.toString('latin1', AT.magic, AT.version) !== MAGIC) {
    throw new HoldfastError('ERR_BRICK_DAMAGED', `${from} is not the superblock of a brick`)
  }
  refuseNewerFormat(page.readUInt32LE(AT.version), from)
  const length = page.readUInt16LE(AT.clusterIdLength)
  if (page.readUInt32LE(CRC_AT) !== crc32c(page, 0, CRC_AT) || length > CLUSTER_ID_BYTES_MAX) {
    throw new HoldfastError('ERR_BRICK_DAMAGED', `${from} fails its checksum`)
  }
  return {
    brickUuid: uuidText(page.subarray(AT.brickUuid, AT.createdMs)),
    clusterId: page.toString('utf8', AT.clusterId, AT.clusterId + length),
    createdMs: Number(page.readBigUInt64LE(AT.createdMs)),
  }
}

function superblockPath(directory: string): string {
  return path.join(directory, 'superblock')
}

/** null when the directory has none. */
export function readSuperblock(directory: string): Superblock | null {
  const from = superblockPath(directory)
  if (!fs.existsSync(from)) return null
  return decodeSuperblock(fs.readFileSync(from), from)
}

/** The last step in making a brick: until it is there, durably, there is no brick. */
export function writeSuperblock(files: StoreFiles, directory: string, superblock: Superblock): void {
  const temporary = `${superblockPath(directory)}.new`
  const page = encodeSuperblock(superblock)
  const fd = files.open(temporary, true)
  const written = files.pwrite(fd, page, 0, page.length, 0)
  const result = written < 0 ? written : files.fdatasync(fd)
  files.close(fd)
  if (result < 0) throw new HoldfastError('ERR_BRICK_DAMAGED', `${temporary} cannot be written`)
  fs.renameSync(temporary, superblockPath(directory))
  syncDirectory(directory)
}

/** fsync of a directory: makes the names in it durable. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
