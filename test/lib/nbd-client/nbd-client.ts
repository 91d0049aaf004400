import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import {
  BASE_ALLOCATION,
  CommandFlag,
  HandshakeFlag,
  NBD_REPLY_FLAG_DONE,
  NbdCommand,
  NbdOption,
  OptionReply,
  ReplyType,
} from '../../../src/nbd/wire/constants.ts'
import {
  decodeOptionReply,
  encodeInfoRequest,
  encodeMetaContextQuery,
  encodeOption,
  GREETING_BYTES,
  OPTION_REPLY_BYTES,
} from '../../../src/nbd/wire/options.ts'
import { decodeReply, SIMPLE_REPLY_BYTES } from '../../../src/nbd/wire/replies.ts'
import { encodeRequest } from '../../../src/nbd/wire/request.ts'
import { ByteReader } from './byte-reader.ts'

export interface OptionAnswer {
  readonly type: number
  readonly data: Buffer
}

export interface Chunk {
  readonly type: number
  readonly flags: number
  readonly payload: Buffer
}

/** A whole reply: `error` is the simple reply's or that of the first error chunk. */
export interface Reply {
  readonly cookie: bigint
  readonly error: number
  readonly chunks: readonly Chunk[]
  /** Of an extended reply. */
  readonly offset: bigint | null
}

export interface Request {
  readonly command: number
  readonly flags?: number
  readonly offset?: number | bigint
  readonly length?: number | bigint
  readonly payload?: Buffer
  readonly cookie?: bigint
}

export type Style = 'simple' | 'structured' | 'extended'

/** A port of this machine, the path of a Unix socket, or an address elsewhere. */
export type NbdAddress = number | string | { readonly host: string; readonly port: number }

const DEFAULT_FLAGS = HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES

/** An NBD client that sends what it is told, right or wrong. Written from the document; one reply at a time. */
export class NbdClient implements Disposable {
  #socket: net.Socket
  readonly #reader: ByteReader
  #extended = false
  #cookies = 0n
  readonly closed: Promise<unknown>

  private constructor(socket: net.Socket) {
    this.#socket = socket
    this.#reader = new ByteReader(socket)
    this.closed = new Promise(resolve => socket.once('close', resolve))
  }

  /** Connected and greeted; has sent its flags. */
  static async connect(to: NbdAddress, flags = DEFAULT_FLAGS): Promise<NbdClient> {
    const client = await NbdClient.dial(to)
    await client.#reader.read(GREETING_BYTES)
    const answer = Buffer.alloc(4)
    answer.writeUInt32BE(flags)
    client.send(answer)
    return client
  }

  /** Connected; everything else is the caller's. */
  static async dial(to: NbdAddress): Promise<NbdClient> {
    const socket =
      typeof to === 'number' ? net.connect(to, '127.0.0.1') : net.connect(to as net.TcpNetConnectOpts)
    const client = new NbdClient(socket)
    await once(socket, 'connect')
    socket.setNoDelay(true)
    return client
  }

  /** Connected, and in the transmission phase of `name`. */
  static async open(to: NbdAddress, style: Style = 'structured', name = 'disk'): Promise<NbdClient> {
    const client = await NbdClient.connect(to)
    if (style !== 'simple') await client.agreeOn(style, name)
    const answers = await client.go(name)
    if (answers.at(-1)?.type !== OptionReply.ACK) throw new Error(`the server refused ${name}`)
    return client
  }

  get socket(): net.Socket {
    return this.#socket
  }

  get unreadBytes(): number {
    return this.#reader.heldBytes
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  read(lengthBytes: number): Promise<Buffer> {
    return this.#reader.read(lengthBytes)
  }

  /** Sends an option; answers its replies, the final one last. */
  async option(option: number, data: Buffer = Buffer.alloc(0)): Promise<OptionAnswer[]> {
    this.send(encodeOption(option, data))
    const answers: OptionAnswer[] = []
    for (;;) {
      const header = decodeOptionReply(await this.read(OPTION_REPLY_BYTES))
      if (header === null || header.option !== option) throw new Error('the reply is not to this option')
      const answer = { type: header.type, data: await this.read(header.dataBytes) }
      answers.push(answer)
      if (answer.type === OptionReply.ACK || answer.type >= 2 ** 31) return answers
    }
  }

  info(name: string, wanted: readonly number[] = []): Promise<OptionAnswer[]> {
    return this.option(NbdOption.INFO, encodeInfoRequest(name, wanted))
  }

  go(name: string, wanted: readonly number[] = []): Promise<OptionAnswer[]> {
    return this.option(NbdOption.GO, encodeInfoRequest(name, wanted))
  }

  /** Structured replies or extended headers, and base:allocation of `name`. */
  async agreeOn(style: 'structured' | 'extended', name: string): Promise<void> {
    await this.option(style === 'extended' ? NbdOption.EXTENDED_HEADERS : NbdOption.STRUCTURED_REPLY)
    this.#extended = style === 'extended'
    await this.option(NbdOption.SET_META_CONTEXT, encodeMetaContextQuery(name, [BASE_ALLOCATION]))
  }

  /** STARTTLS and the TLS handshake. Rejects when either is refused. */
  async startTls(options: tls.ConnectionOptions): Promise<void> {
    const [answer] = await this.option(NbdOption.STARTTLS)
    if (answer?.type !== OptionReply.ACK) throw new Error('the server refused STARTTLS')
    this.#socket.removeAllListeners('data')
    const secured = tls.connect({ socket: this.#socket, ...options })
    await once(secured, 'secureConnect')
    this.#socket = secured
    this.#reader.follow(secured)
  }

  /** Sends a request without waiting; answers its cookie. */
  sendRequest({ command, flags = 0, offset = 0, length, payload, cookie }: Request): bigint {
    const chosen = cookie ?? ++this.#cookies
    const carries = this.#extended && payload !== undefined ? CommandFlag.PAYLOAD_LEN : 0
    const fields = {
      command,
      flags: flags | carries,
      cookie: chosen,
      offset: BigInt(offset),
      length: BigInt(length ?? payload?.length ?? 0),
    }
    const header = encodeRequest(fields, this.#extended)
    this.send(payload === undefined ? header : Buffer.concat([header, payload]))
    return chosen
  }

  async request(request: Request): Promise<Reply> {
    this.sendRequest(request)
    return this.reply(request.command === NbdCommand.READ ? Number(request.length) : 0)
  }

  /** The next reply. `dataBytes` follow a simple reply that is not an error. */
  async reply(dataBytes = 0): Promise<Reply> {
    const chunks: Chunk[] = []
    let error = 0
    for (;;) {
      const header = await this.#replyHeader()
      if (header.kind === 'simple') {
        const data = header.error === 0 && dataBytes > 0 ? await this.read(dataBytes) : Buffer.alloc(0)
        const chunk = {
          type: ReplyType.OFFSET_DATA,
          flags: 0,
          payload: Buffer.concat([Buffer.alloc(8), data]),
        }
        return { cookie: header.cookie, error: header.error, chunks: [chunk], offset: null }
      }
      const payload = await this.read(header.payloadBytes)
      chunks.push({ type: header.type, flags: header.flags, payload })
      if (error === 0 && header.type >= ReplyType.ERROR) error = payload.readUInt32BE(0)
      if ((header.flags & NBD_REPLY_FLAG_DONE) !== 0) {
        return { cookie: header.cookie, error, chunks, offset: header.offset }
      }
    }
  }

  /** Reads and puts the chunks together; a hole leaves zeroes. Throws on an error. */
  async readAt(offset: number, length: number, flags = 0): Promise<Buffer> {
    const reply = await this.request({ command: NbdCommand.READ, offset, length, flags })
    if (reply.error !== 0) throw new Error(`read failed with ${reply.error}`)
    return assemble(reply, offset, length)
  }

  /** Answers the error, 0 for success. */
  async writeAt(offset: number, payload: Buffer, flags = 0): Promise<number> {
    return (await this.request({ command: NbdCommand.WRITE, offset, payload, flags })).error
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  async #replyHeader() {
    let bytes = await this.read(SIMPLE_REPLY_BYTES)
    for (;;) {
      const header = decodeReply(bytes)
      if (header === 'badMagic') throw new Error('the reply has no magic')
      if (header !== null) return header
      bytes = Buffer.concat([bytes, await this.read(4)])
    }
  }
}

/** The data of a read's reply; what no chunk covers stays 0xee. */
export function assemble(reply: Reply, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length, 0xee)
  for (const { type, payload } of reply.chunks) {
    if (type === ReplyType.NONE) continue
    // A simple reply's data has no offset: the client above put 0 there.
    const at = Math.max(0, Number(payload.readBigUInt64BE(0)) - offset)
    if (type === ReplyType.OFFSET_HOLE) data.fill(0, at, at + payload.readUInt32BE(8))
    else payload.copy(data, at, 8)
  }
  return data
}
