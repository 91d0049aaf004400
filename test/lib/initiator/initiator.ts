import { parseBoolean } from '../../../src/iscsi-target/text/values.ts'
import {
  BHS_BYTES,
  getResponseNumbers,
  ittOf,
  type ResponseNumbers,
} from '../../../src/iscsi-target/wire/bhs.ts'
import {
  decodeLogoutResponse,
  encodeLogoutRequest,
  LogoutReason,
} from '../../../src/iscsi-target/wire/logout.ts'
import { lunHighWord } from '../../../src/iscsi-target/wire/lun.ts'
import { blankNopIn, decodeNopIn, encodeNopOut } from '../../../src/iscsi-target/wire/nop.ts'
import { Opcode, RESERVED_TAG } from '../../../src/iscsi-target/wire/opcodes.ts'
import { encodeScsiCommand } from '../../../src/iscsi-target/wire/scsi-command.ts'
import { serialAdd, serialBefore } from '../../../src/iscsi-target/wire/serial-number.ts'
import {
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
} from '../../../src/iscsi-target/wire/task-management.ts'
import { decodeTextResponse, encodeTextRequest } from '../../../src/iscsi-target/wire/text.ts'
import { inquiry, read16, write16 } from './cdb.ts'
import { Command, type CommandRequest, type CommandResult } from './command.ts'
import { Inbox } from './inbox.ts'
import { type LoginAnswer, LoginClient, type LoginOptions } from './login-client.ts'
import { PduChannel, type ReceivedPdu } from './pdu-channel.ts'

const SIMPLE = 1
const INQUIRY_BYTES = 96

/** What was agreed on, as far as an initiator needs it. */
interface Agreed {
  immediateData: boolean
  initialR2T: boolean
  firstBurstLength: number
  segmentBytes: number
}

/** A small iSCSI initiator for tests: behaves unless told otherwise. One connection, ErrorRecoveryLevel 0. */
export class Initiator implements AsyncDisposable {
  readonly channel: PduChannel
  /** PDUs that belong to no command: pings, rejects, async messages, answers. */
  readonly inbox: Inbox
  cmdSn = 1
  expStatSn = 0
  expCmdSn = 0
  maxCmdSn = 0
  /** Set to false to play dead. */
  answersPings = true
  readonly agreed: Agreed = {
    immediateData: true,
    initialR2T: true,
    firstBurstLength: 65536,
    segmentBytes: 8192,
  }
  readonly #commands = new Map<number, Command>()
  #lastTag = 0

  private constructor(channel: PduChannel) {
    this.channel = channel
    this.inbox = new Inbox(channel)
    channel.onPdu = pdu => this.#dispatch(pdu)
    void channel.closed.then(() => {
      for (const command of this.#commands.values()) {
        command.connectionClosed(channel.fault ?? new Error('the connection closed during a command'))
      }
    })
  }

  static async connect(port: number, host?: string): Promise<Initiator> {
    return new Initiator(await PduChannel.connect(port, host))
  }

  /** Connects and logs in; a refused login is an error. */
  static async open(port: number, options: LoginOptions): Promise<Initiator> {
    const initiator = await Initiator.connect(port)
    const { status } = await initiator.login(options)
    if (status !== 0) throw new Error(`login was refused with ${status.toString(16).padStart(4, '0')}`)
    return initiator
  }

  async login(options: LoginOptions): Promise<LoginAnswer> {
    this.cmdSn = options.cmdSn ?? this.cmdSn
    const answer = await new LoginClient(this.channel, this.inbox, options).run()
    if (answer.status !== 0) return answer
    const { keys, header } = answer
    this.#noteNumbers(header)
    this.expStatSn = serialAdd(header.statSn, 1)
    this.channel.headerDigest = keys.get('HeaderDigest') === 'CRC32C'
    this.channel.dataDigest = keys.get('DataDigest') === 'CRC32C'
    Object.assign(this.agreed, {
      immediateData: parseBoolean(keys.get('ImmediateData') ?? 'Yes') ?? true,
      initialR2T: parseBoolean(keys.get('InitialR2T') ?? 'Yes') ?? true,
      firstBurstLength: Number(keys.get('FirstBurstLength') ?? 65536),
      segmentBytes: Number(keys.get('MaxRecvDataSegmentLength') ?? 8192),
    })
    return answer
  }

  newTag(): number {
    return ++this.#lastTag
  }

  /** Sends a command with as much data as it may; the rest follows R2Ts. */
  start(request: CommandRequest): Command {
    const { write = Buffer.alloc(0), lun = 0, immediate = false, ahs } = request
    const { immediateData, initialR2T, firstBurstLength, segmentBytes } = this.agreed
    const lunHigh = lunHighWord(lun)
    const command = new Command(
      this.newTag(),
      request,
      this.channel,
      lunHigh,
      segmentBytes,
      () => this.expStatSn,
    )
    this.#commands.set(command.itt, command)
    const burst = Math.min(write.length, firstBurstLength)
    const immediateBytes = request.immediateBytes ?? (immediateData ? Math.min(burst, segmentBytes) : 0)
    const unsolicitedBytes = request.unsolicitedBytes ?? (initialR2T ? 0 : burst - immediateBytes)
    const cmdSn = request.cmdSn ?? this.cmdSn
    if (!immediate && request.cmdSn === undefined) this.cmdSn = serialAdd(this.cmdSn, 1)
    const header = Buffer.alloc(BHS_BYTES)
    const fields = {
      immediate,
      final: unsolicitedBytes === 0,
      read: request.read !== undefined,
      write: request.write !== undefined,
      attribute: request.attribute ?? SIMPLE,
      lunHigh,
      lunLow: 0,
      itt: command.itt,
      expectedLength:
        request.expectedLength ?? (request.write === undefined ? (request.read ?? 0) : write.length),
      cmdSn,
      expStatSn: this.expStatSn,
    }
    encodeScsiCommand(header, 0, fields, request.cdb, immediateBytes, ahs?.length ?? 0)
    this.channel.send(header, {
      data: write.subarray(0, immediateBytes),
      ...(ahs === undefined ? {} : { ahs }),
    })
    command.sendUnsolicited(immediateBytes, immediateBytes + unsolicitedBytes)
    return command
  }

  command(request: CommandRequest): Promise<CommandResult> {
    return this.start(request).result
  }

  /** Blocks of 512 bytes; status other than GOOD is an error. */
  async read(lba: number, blocks: number, lun = 0): Promise<Buffer> {
    return mustBeGood(await this.command({ cdb: read16(lba, blocks), read: blocks * 512, lun })).data
  }

  async write(lba: number, data: Buffer, lun = 0): Promise<void> {
    mustBeGood(await this.command({ cdb: write16(lba, data.length / 512), write: data, lun }))
  }

  async inquiry(page?: number, lun = 0): Promise<Buffer> {
    return mustBeGood(await this.command({ cdb: inquiry(INQUIRY_BYTES, page), read: INQUIRY_BYTES, lun }))
      .data
  }

  /** Answers the response code. */
  async manageTasks(fn: number, { lun = 0, tag = RESERVED_TAG, refCmdSn = 0 } = {}): Promise<number> {
    const itt = this.newTag()
    const header = Buffer.alloc(BHS_BYTES)
    const fields = {
      ...this.#address(lun),
      immediate: true,
      fn,
      itt,
      referencedTaskTag: tag,
      refCmdSn,
      expDataSn: 0,
    }
    encodeTaskManagementRequest(header, 0, fields)
    this.channel.send(header)
    const pdu = await this.#answerTo(itt, Opcode.taskManagementResponse, 'a task management response')
    return decodeTaskManagementResponse(pdu.header, 0).response
  }

  /** Pings the target; answers what it sent back. */
  async ping(data: Buffer): Promise<Buffer> {
    const itt = this.newTag()
    this.#sendNop(itt, RESERVED_TAG, data)
    return (await this.#answerTo(itt, Opcode.nopIn, 'an answer to our ping')).data
  }

  /** One text exchange, continued until the target is done. */
  async text(text: string): Promise<string> {
    const itt = this.newTag()
    let answer = ''
    let data = Buffer.from(text)
    let ttt: number = RESERVED_TAG
    for (;;) {
      const header = Buffer.alloc(BHS_BYTES)
      const fields = { ...this.#address(0), immediate: true, final: true, continued: false, itt, ttt }
      encodeTextRequest(header, 0, fields, data.length)
      this.channel.send(header, { data })
      const pdu = await this.#answerTo(itt, Opcode.textResponse, 'a text response')
      const reply = decodeTextResponse(pdu.header, 0)
      if ('fault' in reply) throw new Error(reply.fault)
      answer += pdu.data.toString()
      if (reply.final) return answer
      ttt = reply.ttt
      data = Buffer.alloc(0)
    }
  }

  /** Ends the session; answers the response code. */
  async logout(): Promise<number> {
    const itt = this.newTag()
    const header = Buffer.alloc(BHS_BYTES)
    const reason = LogoutReason.closeSession
    encodeLogoutRequest(header, 0, { ...this.#address(0), immediate: true, reason, itt, cid: 0 })
    this.channel.send(header)
    const pdu = await this.#answerTo(itt, Opcode.logoutResponse, 'a logout response')
    return decodeLogoutResponse(pdu.header, 0).response
  }

  /** The next PDU of this kind that belongs to no command. */
  next(opcode: number, what: string): Promise<ReceivedPdu> {
    return this.inbox.next(pdu => pdu.opcode === opcode, what)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel.close()
    await this.channel.closed
  }

  #answerTo(itt: number, opcode: number, what: string): Promise<ReceivedPdu> {
    return this.inbox.next(pdu => pdu.opcode === opcode && ittOf(pdu.header, 0) === itt, what)
  }

  #address(lun: number) {
    return { lunHigh: lunHighWord(lun), lunLow: 0, cmdSn: this.cmdSn, expStatSn: this.expStatSn }
  }

  #sendNop(itt: number, ttt: number, data: Buffer): void {
    const header = Buffer.alloc(BHS_BYTES)
    encodeNopOut(header, 0, { ...this.#address(0), immediate: true, itt, ttt }, data.length)
    this.channel.send(header, { data })
  }

  #dispatch(pdu: ReceivedPdu): void {
    const { opcode, header } = pdu
    if (opcode === Opcode.loginResponse) {
      this.inbox.put(pdu)
      return
    }
    this.#noteStatus(pdu)
    const command = this.#commands.get(ittOf(header, 0))
    if (opcode === Opcode.dataIn && command !== undefined) command.dataIn(pdu)
    else if (opcode === Opcode.r2t && command !== undefined) command.r2t(pdu)
    else if (opcode === Opcode.scsiResponse && command !== undefined) command.response(pdu)
    else if (!this.#answerPing(pdu)) this.inbox.put(pdu)
  }

  #answerPing({ opcode, header }: ReceivedPdu): boolean {
    if (opcode !== Opcode.nopIn || !this.answersPings) return false
    const ping = blankNopIn()
    decodeNopIn(header, 0, ping)
    if (ping.ttt === RESERVED_TAG) return false
    this.#sendNop(RESERVED_TAG, ping.ttt, Buffer.alloc(0))
    return true
  }

  /** PDUs that carry a status advance StatSN; R2T, most Data-In and unsolicited NOP-In do not. */
  #noteStatus({ opcode, header }: ReceivedPdu): void {
    const numbers: ResponseNumbers = { statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
    getResponseNumbers(header, 0, numbers)
    this.#noteNumbers(numbers)
    const bare =
      opcode === Opcode.r2t ||
      (opcode === Opcode.dataIn && (header[1] & 1) === 0) ||
      (opcode === Opcode.nopIn && ittOf(header, 0) === RESERVED_TAG)
    if (!bare) this.expStatSn = serialAdd(numbers.statSn, 1)
  }

  #noteNumbers({ expCmdSn, maxCmdSn }: ResponseNumbers): void {
    if (this.maxCmdSn === 0 || serialBefore(this.expCmdSn, expCmdSn)) this.expCmdSn = expCmdSn
    if (this.maxCmdSn === 0 || serialBefore(this.maxCmdSn, maxCmdSn)) this.maxCmdSn = maxCmdSn
  }
}

function mustBeGood(result: CommandResult): CommandResult {
  if (result.status === 0) return result
  throw new Error(`status ${result.status}, sense ${result.senseCode?.join('/') ?? 'none'}`)
}
