/** Bounds of the NBD server, by name. All of them can be set by configuration; these are the defaults. */
export interface NbdLimits {
  /** Connections of all listeners together. One more is closed at once. */
  readonly connectionsMax: number
  /** From accept to transmission, TLS included. */
  readonly handshakeTimeoutMs: number
  /** Requests of one connection at a time; above it nothing more is read from its socket. */
  readonly requestsPerConnectionMax: number
  /** Replies not taken and payloads in buffers, per connection; above it nothing more is read from its socket. */
  readonly bytesInFlightMax: number
  /** A client that takes no output for this long is gone. */
  readonly outputStallMs: number
  /** Between refusing new requests (at stop) and closing the connections. */
  readonly stopGraceMs: number
}

export const defaultNbdLimits: NbdLimits = {
  connectionsMax: 1024,
  handshakeTimeoutMs: 15_000,
  requestsPerConnectionMax: 256,
  bytesInFlightMax: 4 * 2 ** 20,
  outputStallMs: 60_000,
  stopGraceMs: 5_000,
}

/** Options that one client may send before it chooses an export. */
export const OPTIONS_MAX = 128
/** Longest option data: a name of 4096 bytes and a few queries. A client that announces more is closed. */
export const OPTION_BYTES_MAX = 16 * 1024
/** Output in bytes that may wait for a client during its handshake (LIST of many exports). */
export const HANDSHAKE_OUTPUT_BYTES_MAX = 2 ** 20

/** "Size constraints": what the document lets every client count on. A longer payload closes the connection. */
export const PAYLOAD_BYTES_MAX = 2 ** 25
/** The brick's block: what is aligned to it needs no read-modify-write. */
export const PREFERRED_BLOCK_BYTES = 4096
/** Reads up to here go straight into the transmit slab; also the granule in which holes are looked for. */
export const SLAB_READ_BYTES_MAX = 64 * 1024
/** In a buffer of the pool a read's data begins here, so that its header leaves with it in one write. */
export const READ_DATA_AT = 64
/** Reads that waited, up to this length, are copied into the slab: dearer than the write that it saves beyond. */
export const COPIED_READ_BYTES_MAX = 16 * 1024
/** Trim, write-zeroes and cache go through the device in pieces: between them a dead client's stop. */
export const PIECE_BYTES_MAX = 256 * 2 ** 20
/** CACHE reads through a buffer of this size, and no more than CACHE_BYTES_MAX of what was asked. */
export const CACHE_PIECE_BYTES = 256 * 1024
export const CACHE_BYTES_MAX = 64 * 2 ** 20
/** BLOCK_STATUS looks at this much at a time... */
export const STATUS_WINDOW_BYTES = 256 * 2 ** 20
/** ...until it has this many descriptors... */
export const STATUS_DESCRIPTORS_MAX = 4096
/** ...or has looked this often. The client asks again for the rest. */
export const STATUS_WINDOWS_MAX = 256
/** Longest payload of a BLOCK_STATUS request that is looked at: its length and a few context ids. */
export const STATUS_PAYLOAD_BYTES_MAX = 8 + 4 * 64

/** One for all connections: whatever lies in a socket is read here and handled before the next read. */
export const RECEIVE_BUFFER_BYTES = 256 * 1024
/** From here on the missing rest of a payload is received straight into its final buffer. */
export const DIRECT_RECEIVE_BYTES_MIN = 64 * 1024
/** After a payload this long the next one is likely to be: too much of it would come with its header, and be copied. */
export const LONG_PAYLOAD_BYTES_MIN = RECEIVE_BUFFER_BYTES / 2
/** What is received then: a header, and as many of small requests as follow. */
export const SHORT_RECEIVE_BYTES = 4096
/** Four of the largest slab reads with their headers. */
export const TRANSMIT_SLAB_BYTES = 256 * 1024 + 4096
export const SLABS_KEPT_MAX = 16
/** Freed buffers kept for the next use, all sizes together. */
export const POOL_RETAINED_BYTES_MAX = 32 * 2 ** 20
/** For the last output of a connection that is being closed. */
export const CLOSE_GRACE_MS = 5_000
/** How often time limits are looked at. */
export const TICK_MS = 500
