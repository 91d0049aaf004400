import { BHS_BYTES, FINAL_BIT } from '../../../src/iscsi-target/wire/bhs.ts'
import { blankDataIn, DATA_IN_STATUS_BIT, decodeDataIn } from '../../../src/iscsi-target/wire/data-in.ts'
import { encodeDataOut } from '../../../src/iscsi-target/wire/data-out.ts'
import { RESERVED_TAG } from '../../../src/iscsi-target/wire/opcodes.ts'
import { blankR2t, decodeR2t, type R2tFields } from '../../../src/iscsi-target/wire/r2t.ts'
import {
  blankScsiResponse,
  decodeScsiResponse,
  SENSE_LENGTH_BYTES,
} from '../../../src/iscsi-target/wire/scsi-response.ts'
import type { PduChannel, ReceivedPdu } from './pdu-channel.ts'

export interface CommandRequest {
  readonly cdb: Buffer
  readonly lun?: number
  /** Room for data-in, bytes. */
  readonly read?: number
  readonly write?: Buffer
  /** Expected Data Transfer Length, if it shall differ from `read` or the length of `write`. */
  readonly expectedLength?: number
  readonly attribute?: number
  /** The I bit: outside the command window. */
  readonly immediate?: boolean
  readonly cmdSn?: number
  readonly ahs?: Buffer
  /** Bytes of `write` in the command itself, and after it without being asked; default: all that is agreed. */
  readonly immediateBytes?: number
  readonly unsolicitedBytes?: number
  /** Largest Data-Out; default what the target takes. */
  readonly segmentBytes?: number
  /** Default true: R2Ts are answered. */
  readonly answerR2t?: boolean
  /** Break the data digest of the first Data-Out. */
  readonly breakDataDigest?: boolean
  /** Change the fields of each Data-Out before it is sent. */
  readonly tamper?: (fields: DataOutDraft, index: number) => void
}

export interface DataOutDraft {
  final: boolean
  ttt: number
  dataSn: number
  bufferOffset: number
  itt: number
}

export interface CommandResult {
  readonly status: number
  readonly response: number
  readonly sense: Buffer
  /** [key, ASC, ASCQ] of fixed-format sense, or null. */
  readonly senseCode: readonly [number, number, number] | null
  readonly data: Buffer
  /** Residual bits and count, as sent. */
  readonly residualFlags: number
  readonly residual: number
  /** Status came with the last Data-In, not in a SCSI Response. */
  readonly statusInDataIn: boolean
  readonly dataIns: number
  readonly r2ts: readonly R2tFields[]
}

const RESIDUAL_BITS = 0x1e

/** A command in flight: gathers data-in, answers R2Ts, ends with a status. */
export class Command {
  readonly itt: number
  readonly request: CommandRequest
  readonly result: Promise<CommandResult>
  readonly #channel: PduChannel
  readonly #expStatSn: () => number
  readonly #lunHigh: number
  readonly #segmentBytes: number
  readonly #data: Buffer
  readonly #r2ts: R2tFields[] = []
  #finish!: (result: CommandResult) => void
  #fail!: (error: Error) => void
  #bytesIn = 0
  #dataIns = 0
  #dataOuts = 0

  constructor(
    itt: number,
    request: CommandRequest,
    channel: PduChannel,
    lunHigh: number,
    segmentBytes: number,
    expStatSn: () => number,
  ) {
    this.itt = itt
    this.request = request
    this.#channel = channel
    this.#lunHigh = lunHigh
    this.#segmentBytes = request.segmentBytes ?? segmentBytes
    this.#expStatSn = expStatSn
    this.#data = Buffer.alloc(request.read ?? 0)
    this.result = new Promise((resolve, reject) => {
      this.#finish = resolve
      this.#fail = reject
    })
    this.result.catch(() => {})
  }

  connectionClosed(error: Error): void {
    this.#fail(error)
  }

  /** Data-Outs for `[offset, end)` of the data, one sequence. */
  sendData(offset: number, end: number, ttt: number): void {
    const { write = Buffer.alloc(0), tamper, breakDataDigest } = this.request
    for (let at = offset, dataSn = 0; at < end; at += this.#segmentBytes, dataSn++) {
      const data = write.subarray(at, Math.min(at + this.#segmentBytes, end))
      const final = at + data.length >= end
      const draft: DataOutDraft = { final, ttt, dataSn, bufferOffset: at, itt: this.itt }
      tamper?.(draft, this.#dataOuts)
      const fields = { ...draft, lunHigh: this.#lunHigh, lunLow: 0, expStatSn: this.#expStatSn() }
      const header = Buffer.alloc(BHS_BYTES)
      encodeDataOut(header, 0, fields, data.length)
      this.#channel.send(header, { data, breakDataDigest: breakDataDigest === true && this.#dataOuts === 0 })
      this.#dataOuts++
    }
  }

  dataIn(pdu: ReceivedPdu): void {
    const fields = blankDataIn()
    decodeDataIn(pdu.header, 0, fields)
    pdu.data.copy(this.#data, fields.bufferOffset)
    this.#bytesIn += pdu.data.length
    this.#dataIns++
    if ((fields.flags & DATA_IN_STATUS_BIT) === 0) return
    this.#end(fields.status, 0, fields.flags & RESIDUAL_BITS, fields.residual, Buffer.alloc(0), true)
  }

  r2t(pdu: ReceivedPdu): void {
    const fields = blankR2t()
    decodeR2t(pdu.header, 0, fields)
    this.#r2ts.push(fields)
    if (this.request.answerR2t === false) return
    this.sendData(fields.bufferOffset, fields.bufferOffset + fields.desiredLength, fields.ttt)
  }

  response(pdu: ReceivedPdu): void {
    const fields = blankScsiResponse()
    decodeScsiResponse(pdu.header, 0, fields)
    const sense = pdu.data.subarray(SENSE_LENGTH_BYTES)
    this.#end(fields.status, fields.response, fields.flags & ~FINAL_BIT, fields.residual, sense, false)
  }

  /** R2Ts that are open, oldest first; for tests that answer by hand. */
  get r2ts(): readonly R2tFields[] {
    return this.#r2ts
  }

  /** Unsolicited data after the command PDU. */
  sendUnsolicited(offset: number, end: number): void {
    this.sendData(offset, end, RESERVED_TAG)
  }

  #end(
    status: number,
    response: number,
    residualFlags: number,
    residual: number,
    sense: Buffer,
    statusInDataIn: boolean,
  ): void {
    const senseCode = sense.length >= 14 ? ([sense[2] & 0x0f, sense[12], sense[13]] as const) : null
    this.#finish({
      status,
      response,
      sense,
      senseCode,
      data: this.#data.subarray(0, this.#bytesIn),
      residualFlags,
      residual,
      statusInDataIn,
      dataIns: this.#dataIns,
      r2ts: this.#r2ts,
    })
  }
}
