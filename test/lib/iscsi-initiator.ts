import { once } from 'node:events'
import net from 'node:net'
import { PduReceiver } from '../../src/iscsi-target/pdu-receiver.ts'
import { BHS_BYTES, opcodeOf, paddedBytes } from '../../src/iscsi-target/wire/bhs.ts'
import { blankDataOut, encodeDataOut } from '../../src/iscsi-target/wire/data-out.ts'
import { DIGEST_BYTES, putDigest } from '../../src/iscsi-target/wire/digest.ts'
import { decodeLoginResponse, encodeLoginRequest, LoginStage } from '../../src/iscsi-target/wire/login.ts'
import { encodeLogoutRequest } from '../../src/iscsi-target/wire/logout.ts'
import { lunHighWord } from '../../src/iscsi-target/wire/lun.ts'
import { blankNopOut, encodeNopOut } from '../../src/iscsi-target/wire/nop.ts'
import { RESERVED_TAG } from '../../src/iscsi-target/wire/opcodes.ts'
import { blankScsiCommand, encodeScsiCommand } from '../../src/iscsi-target/wire/scsi-command.ts'
import { encodeTaskManagementRequest } from '../../src/iscsi-target/wire/task-management.ts'
import { BufferPool } from '../../src/net/buffer-pool.ts'

export interface ReceivedPdu {
  readonly opcode: number
  readonly bhs: Buffer
  readonly data: Buffer
}

export interface CommandOptions {
  readonly read?: number
  readonly write?: number
  readonly data?: Buffer
  /** Default: true unless unsolicited Data-Out is to follow. */
  readonly final?: boolean
  readonly immediate?: boolean
  readonly cmdSn?: number
  readonly itt?: number
  readonly lun?: number
}

export interface DataOutOptions {
  readonly itt: number
  readonly ttt?: number
  readonly dataSn?: number
  readonly offset: number
  readonly data: Buffer
  readonly final?: boolean
}

export interface LoginOptions {
  readonly target: string | null
  readonly initiator?: string
  readonly isid?: string
  readonly tsih?: number
  readonly keys?: Readonly<Record<string, string>>
}

/** Keys that let a test see every kind of transfer, in small pieces. */
const KEYS: Readonly<Record<string, string>> = {
  HeaderDigest: 'None',
  DataDigest: 'None',
  InitialR2T: 'No',
  ImmediateData: 'Yes',
  MaxRecvDataSegmentLength: '8192',
  MaxBurstLength: '16384',
  FirstBurstLength: '8192',
  MaxOutstandingR2T: '1',
  ErrorRecoveryLevel: '0',
}

/** An initiator that sends exactly what a test tells it to, right or wrong. */
export class IscsiInitiator implements AsyncDisposable {
  readonly socket: net.Socket
  /** Number of the next non-immediate command. */
  cmdSn = 1
  itt = 1
  tsih = 0
  readonly #receiver: PduReceiver
  readonly #received: ReceivedPdu[] = []
  #wake: (() => void) | null = null
  #isClosed = false
  #headerDigest = false
  #dataDigest = false

  private constructor(socket: net.Socket) {
    this.socket = socket
    const sink = {
      receiving: true,
      pduReceived: (pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number) => {
        this.#received.push({
          opcode: opcodeOf(pdu, at),
          bhs: Buffer.from(pdu.subarray(at, at + BHS_BYTES)),
          data: Buffer.from(data.subarray(dataAt, dataAt + dataLength)),
        })
      },
      placePayload: () => false,
      dataDigestFailed: () =>
        this.#received.push({ opcode: -1, bhs: Buffer.alloc(0), data: Buffer.alloc(0) }),
      streamFailed: () => socket.destroy(),
    }
    this.#receiver = new PduReceiver(sink, new BufferPool(0))
    this.#receiver.dataSegmentBytesMax = 0xffffff
    socket.on('data', (chunk: Buffer) => {
      this.#receiver.receive(chunk, chunk.length)
      this.#wake?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  static async connect(address: string): Promise<IscsiInitiator> {
    const at = address.lastIndexOf(':')
    const host = address.slice(0, at).replace(/^\[|\]$/g, '')
    const socket = net.connect({ host, port: Number(address.slice(at + 1)), noDelay: true })
    await once(socket, 'connect')
    return new IscsiInitiator(socket)
  }

  /** Straight into full feature phase, without authentication. Fails when the target refuses. */
  async login(options: LoginOptions): Promise<Map<string, string>> {
    const keys = {
      InitiatorName: options.initiator ?? 'iqn.2026-11.test:initiator',
      SessionType: options.target === null ? 'Discovery' : 'Normal',
      ...(options.target === null ? {} : { TargetName: options.target }),
      ...KEYS,
      ...options.keys,
    }
    this.sendLogin(options, keys)
    const response = await this.receive()
    const { statusClass, statusDetail, tsih } = decodeLoginResponse(response.bhs, 0)
    if (statusClass !== 0) throw new Error(`login refused: ${(statusClass << 8) | statusDetail}`)
    this.tsih = tsih
    const answers = response.data.toString().split('\0').filter(Boolean)
    const agreed = new Map(answers.map(each => each.split('=', 2) as [string, string]))
    this.#headerDigest = agreed.get('HeaderDigest') === 'CRC32C'
    this.#dataDigest = agreed.get('DataDigest') === 'CRC32C'
    this.#receiver.headerDigest = this.#headerDigest
    this.#receiver.dataDigest = this.#dataDigest
    return agreed
  }

  sendLogin(options: LoginOptions, keys: Readonly<Record<string, string>>): void {
    const text = Buffer.from(
      Object.entries(keys)
        .map(([key, value]) => `${key}=${value}\0`)
        .join(''),
    )
    const bhs = Buffer.alloc(BHS_BYTES)
    const fields = {
      ...{ transit: true, continued: false, csg: LoginStage.operational, nsg: LoginStage.fullFeature },
      ...{
        isid: options.isid ?? '400000000001',
        tsih: options.tsih ?? 0,
        itt: 0,
        versionMax: 0,
        versionMin: 0,
      },
      ...{ cid: 0, cmdSn: this.cmdSn, expStatSn: 0 },
    }
    encodeLoginRequest(bhs, 0, fields, text.length)
    this.send(bhs, text)
  }

  /** The next PDU; fails when none comes within `withinMs`, or when the target closes the connection. */
  async receive(withinMs = 5_000): Promise<ReceivedPdu> {
    const pdu = await this.#next(withinMs)
    if (pdu === null) throw new Error(this.#isClosed ? 'the target closed the connection' : 'no PDU came')
    return pdu
  }

  /** True when nothing comes for `forMs` and the connection stays. */
  async isSilent(forMs: number): Promise<boolean> {
    return (await this.#next(forMs)) === null && !this.#isClosed
  }

  /** Resolves when the target has closed the connection; what it sent before stays receivable. */
  async closed(withinMs = 5_000): Promise<void> {
    if (this.#isClosed) return
    await once(this.socket, 'close', { signal: AbortSignal.timeout(withinMs) })
  }

  /** Header as given, data with padding, digests as agreed; `spoil` names a digest to get wrong. */
  send(bhs: Buffer, data: Buffer = Buffer.alloc(0), spoil?: 'header' | 'data'): void {
    this.socket.write(this.frame(bhs, data, spoil))
  }

  frame(bhs: Buffer, data: Buffer = Buffer.alloc(0), spoil?: 'header' | 'data'): Buffer {
    const parts = [bhs]
    const headerDigest = Buffer.alloc(this.#headerDigest ? DIGEST_BYTES : 0)
    if (this.#headerDigest) {
      const whole = Buffer.concat([bhs, headerDigest])
      putDigest(whole, bhs.length, 0, bhs.length)
      whole.copy(headerDigest, 0, bhs.length)
      if (spoil === 'header') headerDigest[0]! ^= 1
    }
    parts.push(headerDigest)
    const padded = Buffer.alloc(
      paddedBytes(data.length) + (this.#dataDigest && data.length > 0 ? DIGEST_BYTES : 0),
    )
    data.copy(padded)
    if (this.#dataDigest && data.length > 0) {
      putDigest(padded, padded.length - DIGEST_BYTES, 0, padded.length - DIGEST_BYTES)
      if (spoil === 'data') padded[padded.length - 1]! ^= 1
    }
    parts.push(padded)
    return Buffer.concat(parts)
  }

  /** A SCSI Command header. Takes the next CmdSN and task tag unless told otherwise. */
  commandHeader(cdb: readonly number[], options: CommandOptions = {}): Buffer {
    const bhs = Buffer.alloc(BHS_BYTES)
    const fields = blankScsiCommand()
    fields.immediate = options.immediate ?? false
    fields.final = options.final ?? true
    fields.read = options.read !== undefined
    fields.write = options.write !== undefined
    fields.expectedLength = options.write ?? options.read ?? 0
    fields.itt = options.itt ?? this.itt++
    fields.cmdSn = options.cmdSn ?? (fields.immediate ? this.cmdSn : this.cmdSn++)
    fields.lunHigh = lunHighWord(options.lun ?? 0)
    const wholeCdb = Buffer.alloc(16)
    wholeCdb.set(cdb)
    encodeScsiCommand(bhs, 0, fields, wholeCdb, options.data?.length ?? 0)
    return bhs
  }

  /** Sends a SCSI Command; answers its task tag. */
  command(cdb: readonly number[], options: CommandOptions = {}): number {
    const bhs = this.commandHeader(cdb, options)
    this.send(bhs, options.data)
    return bhs.readUInt32BE(16)
  }

  dataOut(options: DataOutOptions, spoil?: 'header' | 'data'): void {
    const bhs = Buffer.alloc(BHS_BYTES)
    const fields = blankDataOut()
    fields.final = options.final ?? true
    fields.itt = options.itt
    fields.ttt = options.ttt ?? RESERVED_TAG
    fields.dataSn = options.dataSn ?? 0
    fields.bufferOffset = options.offset
    encodeDataOut(bhs, 0, fields, options.data.length)
    this.send(bhs, options.data, spoil)
  }

  /** An immediate task management request; answers its task tag. */
  manageTasks(fn: number, referenced = RESERVED_TAG, refCmdSn = 0, lun = 0): number {
    const bhs = Buffer.alloc(BHS_BYTES)
    const itt = this.itt++
    encodeTaskManagementRequest(bhs, 0, {
      ...{ immediate: true, fn, itt, referencedTaskTag: referenced, refCmdSn, expDataSn: 0 },
      ...{ lunHigh: lunHighWord(lun), lunLow: 0, cmdSn: this.cmdSn, expStatSn: 0 },
    })
    this.send(bhs)
    return itt
  }

  nopOut(data: Buffer = Buffer.alloc(0), itt = this.itt++, ttt = RESERVED_TAG): void {
    const bhs = Buffer.alloc(BHS_BYTES)
    const fields = { ...blankNopOut(), immediate: true, itt, ttt, cmdSn: this.cmdSn }
    encodeNopOut(bhs, 0, fields, data.length)
    this.send(bhs, data)
  }

  logout(reason: number, cid = 0): void {
    const bhs = Buffer.alloc(BHS_BYTES)
    const itt = this.itt++
    encodeLogoutRequest(bhs, 0, { immediate: true, reason, itt, cid, cmdSn: this.cmdSn, expStatSn: 0 })
    this.send(bhs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.socket.destroy()
    await once(this.socket, 'close')
  }

  async #next(withinMs: number): Promise<ReceivedPdu | null> {
    const deadline = Date.now() + withinMs
    while (this.#received.length === 0 && !this.#isClosed && Date.now() < deadline) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, deadline - Date.now())
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#received.shift() ?? null
  }
}
