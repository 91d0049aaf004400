/** Numbers of the NBD protocol document (doc/proto.md), under the document's own names. */

/** 64-bit magics as their two halves. "Newstyle negotiation", "Fixed newstyle negotiation". */
export const NBDMAGIC = [0x4e42444d, 0x41474943] as const
export const IHAVEOPT = [0x49484156, 0x454f5054] as const
export const NBD_OPT_REPLY_MAGIC = [0x0003e889, 0x045565a9] as const

export const NBD_REQUEST_MAGIC = 0x25609513
export const NBD_EXTENDED_REQUEST_MAGIC = 0x21e41c71
export const NBD_SIMPLE_REPLY_MAGIC = 0x67446698
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef
export const NBD_EXTENDED_REPLY_MAGIC = 0x6e8a278c

/** "Handshake flags" and "Client flags": the client answers with the same bits. */
export const HandshakeFlag = { FIXED_NEWSTYLE: 1, NO_ZEROES: 2 } as const

/** "Transmission flags". */
export const TransmissionFlag = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  /** extension-resize branch. */
  SEND_RESIZE: 1 << 9,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
  BLOCK_STATUS_PAYLOAD: 1 << 12,
} as const

/** "Option types". */
export const NbdOption = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const

/** "Option reply types". */
export const OptionReply = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: 0x8000_0001,
  ERR_POLICY: 0x8000_0002,
  ERR_INVALID: 0x8000_0003,
  ERR_TLS_REQD: 0x8000_0005,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_SHUTDOWN: 0x8000_0007,
  ERR_TOO_BIG: 0x8000_0009,
  ERR_EXT_HEADER_REQD: 0x8000_000a,
} as const
export type OptionReply = (typeof OptionReply)[keyof typeof OptionReply]

/** "NBD_REP_INFO": information types. */
export const NbdInfo = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const

/** "Request types". */
export const NbdCommand = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
  /** extension-resize branch: the field `offset` is the new size. */
  RESIZE: 8,
} as const

/** "Command flags". */
export const CommandFlag = {
  FUA: 1 << 0,
  NO_HOLE: 1 << 1,
  DF: 1 << 2,
  REQ_ONE: 1 << 3,
  FAST_ZERO: 1 << 4,
  PAYLOAD_LEN: 1 << 5,
} as const

/** "Structured reply flags". */
export const NBD_REPLY_FLAG_DONE = 1

/** "Structured reply types". */
export const ReplyType = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002,
} as const

/** "Error values". */
export const NbdError = {
  NONE: 0,
  EPERM: 1,
  EIO: 5,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const
export type NbdError = (typeof NbdError)[keyof typeof NbdError]

/** "The base:allocation metadata context". */
export const BASE_ALLOCATION = 'base:allocation'
export const BlockState = { HOLE: 1, ZERO: 2 } as const

/** "Conventions": no string is longer. */
export const NBD_STRING_BYTES_MAX = 4096
/** How messages are sent during transmission: what the handshake agreed on. */
export const ReplyStyle = { simple: 0, structured: 1, extended: 2 } as const
export type ReplyStyle = (typeof ReplyStyle)[keyof typeof ReplyStyle]
