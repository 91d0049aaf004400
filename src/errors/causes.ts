/**
 * The one table of what can go wrong, and how each protocol says it. Blocks' causes carry SCSI sense
 * (SPC-5 §4.5, key/ASC/ASCQ) and the NBD errno; control's carry the HTTP status; the CLI exits 1 for all.
 */
export interface Cause {
  readonly http: number
  /** [sense key, additional sense code, qualifier] for a CHECK CONDITION. */
  readonly sense?: readonly [key: number, asc: number, ascq: number]
  /** Error value of the NBD protocol document ("Error values"). */
  readonly nbd?: number
  readonly says: string
}

const EPERM = 1
const EIO = 5
const EINVAL = 22
const ENOSPC = 28
const ESHUTDOWN = 108

export const causes = {
  ERR_BLOCK_OUT_OF_RANGE: {
    http: 400,
    sense: [0x5, 0x21, 0x00],
    nbd: EINVAL,
    says: 'the range ends past the end of the volume',
  },
  ERR_BLOCK_NO_SPACE: {
    http: 507,
    sense: [0x7, 0x27, 0x07],
    nbd: ENOSPC,
    says: 'the bricks have no space left',
  },
  ERR_BLOCK_MEDIUM: {
    http: 500,
    sense: [0x3, 0x11, 0x00],
    nbd: EIO,
    says: 'a block fails its checksum and no good copy is left',
  },
  ERR_BLOCK_MISCOMPARE: {
    http: 409,
    sense: [0xe, 0x1d, 0x00],
    nbd: EIO,
    says: 'the data differs from what is on the volume',
  },
  ERR_BLOCK_WRITE_PROTECTED: {
    http: 403,
    sense: [0x7, 0x27, 0x00],
    nbd: EPERM,
    says: 'the volume is read-only',
  },
  ERR_BLOCK_RESERVATION_CONFLICT: {
    http: 409,
    nbd: EPERM,
    says: 'a persistent reservation of another client forbids this',
  },
  ERR_BLOCK_IO: {
    http: 500,
    sense: [0x4, 0x44, 0x00],
    nbd: EIO,
    says: 'the brick failed a write or an fsync and has left service',
  },
  ERR_BLOCK_ABORTED: { http: 500, sense: [0xb, 0x00, 0x06], nbd: EIO, says: 'the operation was aborted' },
  ERR_BLOCK_UNAVAILABLE: {
    http: 503,
    sense: [0x2, 0x04, 0x01],
    nbd: ESHUTDOWN,
    says: 'the volume is not served here at the moment; try again',
  },
  ERR_BLOCK_SANITIZING: {
    http: 409,
    sense: [0x2, 0x04, 0x1b],
    nbd: EIO,
    says: 'the volume is being sanitized',
  },
  ERR_BLOCK_SANITIZE_FAILED: {
    http: 409,
    sense: [0x3, 0x31, 0x03],
    nbd: EIO,
    says: 'a sanitize of the volume failed; sanitize it again',
  },
  ERR_BLOCK_IN_DOUBT: {
    http: 503,
    sense: [0xb, 0x00, 0x06],
    nbd: EIO,
    says: 'the owner of the volume died meanwhile; whether this was done is unknown',
  },
  ERR_BLOCK_WRITES_LOST: {
    http: 500,
    sense: [0x3, 0x0c, 0x00],
    nbd: EIO,
    says: 'writes that were acknowledged but not flushed were lost with the last member that had them',
  },

  ERR_NAME_INVALID: { http: 400, says: 'the name is not allowed' },
  ERR_SIZE_INVALID: { http: 400, nbd: EINVAL, says: 'the size is not allowed' },
  ERR_ARGUMENT_INVALID: { http: 400, says: 'an argument is not allowed' },
  ERR_VOLUME_EXISTS: { http: 409, says: 'a volume of this name exists' },
  ERR_VOLUME_NOT_FOUND: { http: 404, says: 'there is no such volume' },
  ERR_VOLUME_BUSY: { http: 409, says: 'a session is using the volume' },
  ERR_VOLUME_SHRINK: { http: 400, nbd: EPERM, says: 'a volume cannot be made smaller' },
  ERR_RESIZE_FORBIDDEN: { http: 403, nbd: EPERM, says: 'this client may not resize the volume' },
  ERR_TARGET_EXISTS: { http: 409, says: 'a target of this name exists' },
  ERR_TARGET_NOT_FOUND: { http: 404, says: 'there is no such target' },
  ERR_TARGET_BUSY: { http: 409, says: 'a session is using the target' },
  ERR_TARGET_SHARED: { http: 409, says: 'the target has other volumes too' },
  ERR_LUN_EXISTS: { http: 409, says: 'the target has this LUN already' },
  ERR_LUN_NOT_FOUND: { http: 404, says: 'the target has no such LUN' },
  ERR_SESSION_NOT_FOUND: { http: 404, says: 'there is no such session' },
  ERR_PEER_NOT_FOUND: { http: 404, says: 'there is no such peer' },
  ERR_PEER_REFUSED: { http: 409, says: 'a peer refused the connection' },
  ERR_PEER_EXISTS: { http: 409, says: 'a peer of this name exists' },
  ERR_PEER_BUSY: { http: 409, says: 'the peer is running, or holds data that is nowhere else' },
  ERR_CLUSTER_EXISTS: { http: 409, says: 'the metadata holds a cluster already' },
  ERR_CLUSTER_NOT_JOINED: { http: 409, says: 'this data directory is not a peer of that cluster' },
  ERR_CLUSTER_TOKEN: { http: 403, says: 'the token is not the one that joining this cluster needs' },
  ERR_REPLICAS_UNAVAILABLE: { http: 409, says: 'there are fewer failure domains than replicas' },
  ERR_CHAP_SECRET: { http: 400, says: 'the CHAP secret is not allowed' },
  ERR_CHAP_EXISTS: { http: 409, says: 'the initiator has CHAP that an operator has set' },
  ERR_JOB_NOT_FOUND: { http: 404, says: 'there is no such job' },
  ERR_IMAGE_INVALID: { http: 400, says: 'the image stream is not one of ours, or it is damaged' },
  ERR_IMAGE_TOO_LARGE: { http: 400, says: 'the image is larger than the volume' },
  ERR_PATH_NOT_FOUND: { http: 404, says: 'the API has no such path' },
  ERR_FORBIDDEN: { http: 403, says: 'a web page of somebody else may not ask this' },
  ERR_INTERNAL: { http: 500, says: 'the daemon failed; its log says more' },
  ERR_UNAUTHORIZED: { http: 401, says: 'a bearer token is needed' },
  ERR_METADATA_CONFLICT: { http: 409, says: 'somebody else changed this at the same time; try again' },
  ERR_METADATA_LOCKED: { http: 409, says: 'another daemon has this metadata open' },
  ERR_METADATA_LEASE: { http: 409, says: 'the lease has expired' },
  ERR_METADATA_FORMAT: { http: 500, says: 'the metadata has a format that this version does not know' },
  ERR_METADATA_UNAVAILABLE: { http: 503, says: 'the metadata store does not answer' },
  ERR_DATA_LOCKED: { http: 409, says: 'another daemon has this data directory open' },
  ERR_BRICK_LOCKED: { http: 409, says: 'another daemon has this brick open' },
  ERR_BRICK_FORMAT: { http: 500, says: 'the brick has a format that this version does not know' },
  ERR_BRICK_DAMAGED: { http: 500, says: 'the brick is damaged' },
  ERR_BRICK_STALE: { http: 500, says: 'the brick is behind the metadata: it was cloned or restored' },
  ERR_CONFIG_INVALID: { http: 400, says: 'the configuration is not valid' },
  ERR_LISTEN: { http: 500, says: 'an address cannot be listened on' },
} as const satisfies Record<string, Cause>

export type CauseCode = keyof typeof causes
