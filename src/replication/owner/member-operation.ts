import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { RequestFlag } from '../messages.ts'
import {
  NO_PAYLOAD,
  PeerRequest,
  PeerRequestKind,
  type PeerStatus,
  UNKNOWN_CHECKSUM,
} from '../peer-network.ts'
import type { JoinGate } from '../resync/resync-ports.ts'
import type { Member } from './member.ts'

/** What one piece of an operation is, for every member alike. */
export interface Piece {
  readonly volumeUuid: string
  readonly epoch: number
  readonly setVersion: number
  readonly watermark: number
  readonly kind: BlockKind
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** 0 for what changes nothing. */
  readonly number: number
  readonly stream: number
  readonly sequence: number
  readonly fua: boolean
  readonly data: Buffer
  readonly dataAt: number
  /** CRC32C of what a write carries, UNKNOWN_CHECKSUM before that was computed. */
  readonly dataChecksum: number
  /** Of each block of it; null but while the piece is first sent. */
  readonly blockChecksums: Uint32Array | null
  /** Not the operation itself but space for it. */
  readonly reserving: boolean
  /** In place is fine when others have to be waited for anyway. */
  readonly mayRunInline: boolean
  partDone(part: MemberOperation): void
}

const REQUEST_KINDS: Partial<Record<BlockKind, PeerRequestKind>> = {
  [BlockKind.read]: PeerRequestKind.read,
  [BlockKind.write]: PeerRequestKind.write,
  [BlockKind.writeAtomic]: PeerRequestKind.write,
  [BlockKind.trim]: PeerRequestKind.trim,
  [BlockKind.zero]: PeerRequestKind.zero,
  [BlockKind.flush]: PeerRequestKind.flush,
}

/** One piece of an operation at one member. Reused: it may be sent again after it has come back. */
export class MemberOperation {
  member!: Member
  /** The member is joining: its failure ends the joining and not the operation. */
  gate: JoinGate | null = null
  /** Its acknowledgement is needed and has not come. */
  pending = false
  /** Buffers belong to the network or the brick. */
  isOut = false
  status: PeerStatus = BlockStatus.ok
  failedAtBytes = 0
  /** Of the member, when it was sent. */
  changes = 0
  readonly #piece: Piece
  #request: PeerRequest | null = null
  #operation: BlockOperation | null = null

  constructor(piece: Piece) {
    this.#piece = piece
  }

  prepare(member: Member, gate: JoinGate | null): void {
    this.member = member
    this.gate = gate
    this.pending = true
    this.status = BlockStatus.ok
  }

  /** `partDone` follows, from inside only where the piece may run inline. */
  send(): void {
    this.isOut = true
    this.changes = this.member.changes
    if (this.member.local === null) this.#sendAway()
    else this.#sendToOwnBrick()
  }

  replied(request: PeerRequest): void {
    this.#came(request.status, request.failedAtBytes)
  }

  blockDone(operation: BlockOperation): void {
    this.member.local!.replica.ended()
    this.#came(operation.status, operation.failedAtBytes)
  }

  #came(status: PeerStatus, failedAtBytes: number): void {
    this.isOut = false
    // A flush that was sent meanwhile may have passed it.
    if (this.#piece.number > 0) this.member.changes++
    this.status = status
    this.failedAtBytes = failedAtBytes
    this.#piece.partDone(this)
  }

  #sendAway(): void {
    const piece = this.#piece
    this.#request ??= new PeerRequest(this)
    const request = this.#request
    request.kind = piece.reserving ? PeerRequestKind.reserve : REQUEST_KINDS[piece.kind]!
    request.volume = piece.volumeUuid
    request.epoch = piece.epoch
    request.setVersion = piece.setVersion
    request.offsetBytes = piece.offsetBytes
    request.lengthBytes = piece.lengthBytes
    request.operation = piece.number
    request.watermark = piece.watermark
    request.stream = piece.stream
    request.sequence = piece.sequence
    request.flags =
      (piece.fua ? RequestFlag.fua : 0) | (piece.kind === BlockKind.writeAtomic ? RequestFlag.atomic : 0)
    const carries =
      !piece.reserving && (piece.kind === BlockKind.write || piece.kind === BlockKind.writeAtomic)
    request.payload = carries ? piece.data : NO_PAYLOAD
    request.payloadAt = carries ? piece.dataAt : 0
    request.payloadLengthBytes = carries ? piece.lengthBytes : 0
    request.payloadChecksum = carries ? piece.dataChecksum : UNKNOWN_CHECKSUM
    const reads = piece.kind === BlockKind.read
    request.into = reads ? piece.data : NO_PAYLOAD
    request.intoAt = reads ? piece.dataAt : 0
    request.intoLengthBytes = reads ? piece.lengthBytes : 0
    this.member.link!.send(request)
  }

  #sendToOwnBrick(): void {
    const piece = this.#piece
    const { replica } = this.member.local!
    const { kind, offsetBytes, lengthBytes } = piece
    const refusal = replica.admit(piece.epoch, piece.setVersion)
    if (refusal !== BlockStatus.ok) return this.#comeLater(refusal)
    if (piece.reserving) return this.#reserveHere()
    if (piece.number > 0) {
      replica.note(
        piece.number,
        piece.watermark,
        kind,
        offsetBytes,
        lengthBytes,
        piece.stream,
        piece.sequence,
      )
    }
    if (kind === BlockKind.write && piece.mayRunInline && !piece.fua) {
      const { data, dataAt, blockChecksums } = piece
      const status = replica.volume.writeNow(offsetBytes, lengthBytes, data, dataAt, blockChecksums)
      if (status === BlockStatus.ok) return this.#came(status, 0)
    }
    this.#operation ??= new BlockOperation(this)
    const operation = this.#operation
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.data = piece.data
    operation.dataAt = piece.dataAt
    operation.fua = piece.fua
    operation.status = BlockStatus.ok
    replica.begun()
    replica.volume.submit(operation)
  }

  #reserveHere(): void {
    const { replica } = this.member.local!
    replica.begun()
    replica.volume.reserve(this.#piece.offsetBytes, this.#piece.lengthBytes).then(
      status => {
        replica.ended()
        this.#came(status as BlockStatus, 0)
      },
      () => {
        replica.ended()
        this.#came(BlockStatus.ioError, 0)
      },
    )
  }

  #comeLater(status: PeerStatus): void {
    queueMicrotask(() => this.#came(status, 0))
  }
}
