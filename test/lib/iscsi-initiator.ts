import { once } from 'node:events'
import type net from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { BHS_BYTES } from '../../src/iscsi-target/wire/bhs.ts'
import { blankDataOut, encodeDataOut } from '../../src/iscsi-target/wire/data-out.ts'
import { decodeLoginResponse, encodeLoginRequest, LoginStage } from '../../src/iscsi-target/wire/login.ts'
import { encodeLogoutRequest } from '../../src/iscsi-target/wire/logout.ts'
import { lunHighWord } from '../../src/iscsi-target/wire/lun.ts'
import { blankNopOut, encodeNopOut } from '../../src/iscsi-target/wire/nop.ts'
import { RESERVED_TAG } from '../../src/iscsi-target/wire/opcodes.ts'
import { blankScsiCommand, encodeScsiCommand } from '../../src/iscsi-target/wire/scsi-command.ts'
import { encodeTaskManagementRequest } from '../../src/iscsi-target/wire/task-management.ts'
import { PduChannel } from './initiator/pdu-channel.ts'

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
  /** Number of the next non-immediate command. */
  cmdSn = 1
  itt = 1
  tsih = 0
  readonly #channel: PduChannel
  readonly #received: ReceivedPdu[] = []
  #wake: (() => void) | null = null
  #isClosed = false

  private constructor(channel: PduChannel) {
    this.#channel = channel
    channel.onPdu = ({ opcode, header, data }) => {
      this.#received.push({ opcode, bhs: header.subarray(0, BHS_BYTES), data })
      this.#wake?.()
    }
    void channel.closed.then(() => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  get socket(): net.Socket {
    return this.#channel.socket
  }

  static async connect(address: string): Promise<IscsiInitiator> {
    const at = address.lastIndexOf(':')
    const host = address.slice(0, at).replace(/^\[|\]$/g, '')
    return new IscsiInitiator(await PduChannel.connect(Number(address.slice(at + 1)), host))
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
    this.#channel.headerDigest = agreed.get('HeaderDigest') === 'CRC32C'
    this.#channel.dataDigest = agreed.get('DataDigest') === 'CRC32C'
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
    // Not events.once, which rejects when the connection is reset: that closes it too.
    const closing = new Promise<'closed'>(resolve => this.socket.once('close', () => resolve('closed')))
    const ended = await Promise.race([closing, delay(withinMs, 'open' as const, { ref: false })])
    if (ended === 'open') throw new Error('the target keeps the connection open')
  }

  /** Header as given, data with padding, digests as agreed; `spoil` names a digest to get wrong. */
  send(bhs: Buffer, data: Buffer = Buffer.alloc(0), spoil?: 'header' | 'data'): void {
    this.socket.write(this.frame(bhs, data, spoil))
  }

  frame(bhs: Buffer, data: Buffer = Buffer.alloc(0), spoil?: 'header' | 'data'): Buffer {
    return this.#channel.frame(bhs, {
      data,
      breakHeaderDigest: spoil === 'header',
      breakDataDigest: spoil === 'data',
    })
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
