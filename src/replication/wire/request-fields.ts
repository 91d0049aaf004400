import { NO_PAYLOAD, type PeerRequest, type PeerRequestKind } from '../peer-network.ts'

/** What a request's header and a request itself call by the same names. */
type SharedFields = Pick<
  PeerRequest,
  | 'epoch'
  | 'setVersion'
  | 'offsetBytes'
  | 'lengthBytes'
  | 'operation'
  | 'watermark'
  | 'stream'
  | 'sequence'
  | 'flags'
  | 'stamp'
>

/** The fields of an IncomingRequest, filled in anew for each. */
export class RequestFields implements SharedFields {
  kind: PeerRequestKind = 0
  volume = ''
  epoch = 0
  setVersion = 0
  offsetBytes = 0
  lengthBytes = 0
  operation = 0
  watermark = 0
  stream = 0
  sequence = 0
  flags = 0
  stamp = 0
  body: unknown = null
  payload: Buffer = NO_PAYLOAD
  payloadAt = 0
  payloadLengthBytes = 0
  blockChecksums: Uint32Array | null = null

  protected takeFields(from: SharedFields): void {
    this.epoch = from.epoch
    this.setVersion = from.setVersion
    this.offsetBytes = from.offsetBytes
    this.lengthBytes = from.lengthBytes
    this.operation = from.operation
    this.watermark = from.watermark
    this.stream = from.stream
    this.sequence = from.sequence
    this.flags = from.flags
    this.stamp = from.stamp
  }
}
