import type { BlockStatus } from '../block/block-status.ts'

/**
 * What one daemon says of itself in every hello. PROTOCOL rule 1: a brick under an old id, a clone and a restored
 * one are all told apart by these before anything is asked of them.
 */
export interface PeerIdentity {
  readonly clusterId: string
  readonly peerId: string
  /** The peer's small number: placement pages name it. */
  readonly peerNumber: number
  readonly brickUuid: string
  readonly openCounter: number
  /** Of the machine. */
  readonly bootId: string
  /** Of the process: random at each start. */
  readonly incarnation: string
}

/**
 * The operations that are frequent enough to have a layout of their own; everything else is a `control` request
 * with a body. The wire gives each a number that never changes.
 */
export const PeerRequestKind = {
  control: 0,
  read: 1,
  write: 2,
  /** Zero exactly these bytes and give the space back. */
  trim: 3,
  /** Zero exactly these bytes and keep the space. */
  zero: 4,
  flush: 5,
  /** Space for these regions, or noSpace; nothing is written. */
  reserve: 6,
  /** A whole region or a part of it, copied by the owner: the stamp comes with it. */
  copyIn: 7,
  /** A client's operation passed on by the gateway that it came to, by BlockKind in `flags`. */
  forward: 8,
} as const
export type PeerRequestKind = (typeof PeerRequestKind)[keyof typeof PeerRequestKind]

/** How a request ended: a BlockStatus, or one of these. */
export const PeerStatus = {
  /** The connection ended first: whether it was carried out is unknown. */
  lost: 64,
  /** The volume has seen a higher epoch here. The sender is no owner any more. PROTOCOL rules 2 and 3. */
  staleEpoch: 65,
  /** The sender's setVersion is behind what is persisted here. */
  staleSet: 66,
  /** No descriptor here: UNKNOWN, never zeroes. */
  unknownVolume: 67,
  /** Not the owner of this volume, or not any more. */
  notOwner: 68,
  /** This stream number has been replaced or killed. PROTOCOL rule 17. */
  deadStream: 69,
  /** A control request that was refused; the body says why: `{ code, message }` of a HoldfastError. */
  refused: 70,
} as const
export type PeerStatus = BlockStatus | (typeof PeerStatus)[keyof typeof PeerStatus]

export const NO_PAYLOAD = Buffer.alloc(0)
export const UNKNOWN_CHECKSUM = -1

export interface PeerCompletion {
  /** Exactly once per send(), never from inside it. */
  replied(request: PeerRequest): void
}

/**
 * One request to another daemon. Whoever sends preallocates these and uses them again after `replied`; between
 * send() and `replied` every field and both buffers belong to the network.
 */
export class PeerRequest {
  kind: PeerRequestKind = PeerRequestKind.control
  /** Canonical uuid, '' where no volume is meant. */
  volume = ''
  epoch = 0
  setVersion = 0
  offsetBytes = 0
  lengthBytes = 0
  /** The owner's number of this operation within its epoch; 0 for what is none. */
  operation = 0
  /** All operations of the epoch up to this one are applied on every member or abandoned. PROTOCOL rule 16. */
  watermark = 0
  /** Of the client's operation that this carries out, 0 if none. PROTOCOL rules 17 and 18. */
  stream = 0
  sequence = 0
  /** FUA and the like, by kind. */
  flags = 0
  /** Generation that a copied region is stamped with. */
  stamp = 0
  /** What a control request says; anything that survives JSON. */
  body: unknown = null
  /** Sent with the request. It may be used again after `replied`, not before. */
  payload: Buffer = NO_PAYLOAD
  payloadAt = 0
  payloadLengthBytes = 0
  /** CRC32C of the payload where the sender has it, else UNKNOWN_CHECKSUM. */
  payloadChecksum = UNKNOWN_CHECKSUM
  /** Where the data of the reply goes (read); a reply with more than `intoLengthBytes` closes the connection. */
  into: Buffer = NO_PAYLOAD
  intoAt = 0
  intoLengthBytes = 0

  status: PeerStatus = 0
  /** With mediumError and miscompare: the first byte at fault, as an offset in the volume. */
  failedAtBytes = 0
  replyBody: unknown = null
  completion: PeerCompletion
  /** Scratch for whoever sends. */
  context: unknown = null
  next: PeerRequest | null = null

  constructor(completion: PeerCompletion) {
    this.completion = completion
  }
}

/** The way to one other daemon. Connects and reconnects by itself while the network is open. */
export interface PeerLink {
  readonly peerNumber: number
  /** A connection is up and both hellos were accepted. */
  readonly isUp: boolean
  /** Rises with each connection of this link; 0 before the first. */
  readonly connection: number
  /** As in the hello of the present connection, null while none is up. */
  readonly identity: PeerIdentity | null
  /**
   * Requests of one connection arrive in order and exactly once; their replies come in any order. While the link
   * is down, or a named bound of bytes in flight is passed, `replied` follows with `lost`.
   */
  send(request: PeerRequest): void
  /** Ends the present connection: every request in flight is `lost`, nothing of it is sent or read any more. */
  reset(): void
  /** Called after each change of `isUp`; the answer takes the listener off. */
  onChange(listener: () => void): () => void
}

/** A request as the daemon it was sent to sees it. Pooled: valid until reply() is called. */
export interface IncomingRequest {
  readonly from: PeerIdentity
  /** The sender's number of its connection; an older one than the newest seen is refused. PROTOCOL rule 3. */
  readonly connection: number
  readonly kind: PeerRequestKind
  readonly volume: string
  readonly epoch: number
  readonly setVersion: number
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly operation: number
  readonly watermark: number
  readonly stream: number
  readonly sequence: number
  readonly flags: number
  readonly stamp: number
  readonly body: unknown
  /** The payload, valid until received() returns unless keep() was called; then until reply(). */
  readonly payload: Buffer
  readonly payloadAt: number
  readonly payloadLengthBytes: number
  /** CRC32C of each 4 KiB block of a write's payload, from 0 on, where they are known; valid until received() returns. */
  readonly blockChecksums: Uint32Array | null
  keep(): void
  /** Where an answer of at most `lengthBytes` may be put without a copy; then reply() with the same buffer. */
  reserveReply(lengthBytes: number): { readonly buffer: Buffer; readonly at: number }
  /**
   * Exactly once per request, from inside received() or later. `data` is copied, or was reserved, before this
   * returns. Dropped silently when the connection is gone.
   */
  reply(status: PeerStatus, answer?: PeerAnswer): void
}

export interface PeerAnswer {
  readonly body?: unknown
  readonly data?: Buffer
  readonly dataAt?: number
  readonly dataLengthBytes?: number
  readonly failedAtBytes?: number
}

/** What a daemon does with the requests of others. */
export interface PeerRequestHandler {
  received(request: IncomingRequest): void
  /**
   * A new connection of `from`. Its hello is answered when the promise resolves: what came by its older ones must
   * have ended and be refused from then on. Rejects to refuse it, with a HoldfastError that names the reason.
   */
  connected(from: PeerIdentity, connection: number): Promise<void>
  disconnected(from: PeerIdentity, connection: number): void
}

export interface PeerNetwork {
  readonly self: PeerIdentity
  /** The link to a peer, made at the first call; to oneself it is an invariant error. */
  link(peerNumber: number): PeerLink
  /** Called once, before the first connection is accepted. */
  serve(handler: PeerRequestHandler): void
}
