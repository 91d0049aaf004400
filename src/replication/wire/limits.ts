/** Bounds of the wire between daemons, by name. These are the defaults; tests bring shorter ones. */
export interface PeerWireLimits {
  /** From dialling to an accepted hello, TLS included; the same for an accepted connection. */
  readonly handshakeTimeoutMs: number
  /** Silence after which the dialling side sends a ping. */
  readonly pingAfterMs: number
  /** A connection that brought nothing for so long is cut. Longer than several pings. */
  readonly silenceMaxMs: number
  /** Between two attempts to connect: doubles from the first to the second. */
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /** Requests of one link that wait for their reply. One more is lost. */
  readonly requestsInFlightMax: number
  /** Headers, bodies and payloads of these, and the room for what they read. */
  readonly bytesInFlightMax: number
  /** Of one connection: payloads and answers that its requests hold. Above it nothing more is read from it. */
  readonly bytesHeldMax: number
  /** Accepted connections, those in their handshake included. One more is closed at once. */
  readonly connectionsMax: number
}

export const defaultPeerWireLimits: PeerWireLimits = {
  handshakeTimeoutMs: 3_000,
  pingAfterMs: 500,
  silenceMaxMs: 2_500,
  reconnectMinMs: 100,
  reconnectMaxMs: 1_000,
  requestsInFlightMax: 65_536,
  bytesInFlightMax: 256 * 2 ** 20,
  bytesHeldMax: 64 * 2 ** 20,
  connectionsMax: 1024,
}

/** JSON of a hello: identities and numbers. */
export const HELLO_BODY_BYTES_MAX = 4096
/** JSON of a control request or its reply. */
export const BODY_BYTES_MAX = 8 * 2 ** 20
/** What NBD lets a client write at once. */
export const PAYLOAD_BYTES_MAX = 2 ** 25
/** Volumes that one connection may name. */
export const VOLUMES_PER_CONNECTION_MAX = 65_536
/** A volume's name on the wire: a uuid has 36 characters. */
export const VOLUME_NAME_BYTES_MAX = 64

/** Payloads from here on are sent and received without a copy. */
export const DIRECT_BYTES_MIN = 64 * 1024
/** One for all connections: whatever lies in a socket is read here and handled before the next read. */
export const RECEIVE_BUFFER_BYTES = 256 * 1024
export const TRANSMIT_SLAB_BYTES = 256 * 1024
export const SLABS_KEPT_MAX = 32
/** Freed buffers kept for the next use, all sizes together. */
export const POOL_RETAINED_BYTES_MAX = 32 * 2 ** 20
/** How often time limits are looked at. */
export const TICK_MS = 100
