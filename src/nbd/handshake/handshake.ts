import type { ExportDirectory, ExportLookup, NbdClient, NbdExport } from '../export-directory.ts'
import { OPTION_BYTES_MAX, OPTIONS_MAX, PAYLOAD_BYTES_MAX, PREFERRED_BLOCK_BYTES } from '../limits.ts'
import {
  BASE_ALLOCATION,
  HandshakeFlag,
  NbdInfo,
  NbdOption,
  OptionReply,
  ReplyStyle,
} from '../wire/constants.ts'
import {
  CLIENT_FLAGS_BYTES,
  decodeInfoRequest,
  decodeMetaContextQuery,
  decodeOptionHeader,
  decodeString,
  encodeBlockSizeInfo,
  encodeExportInfo,
  encodeExportNameReply,
  encodeGreeting,
  encodeMetaContext,
  encodeOptionReply,
  encodeServer,
  encodeTextInfo,
  OPTION_HEADER_BYTES,
} from '../wire/options.ts'
import { matchContexts } from './meta-contexts.ts'
import { transmissionFlags } from './transmission-flags.ts'

export type TlsMode = 'off' | 'optional' | 'required'

/** What a connection and its client agreed on before transmission. */
export interface Agreement {
  readonly export: NbdExport
  readonly style: ReplyStyle
  /** base:allocation was selected for this export. */
  readonly blockStatus: boolean
}

export type HandshakeOutcome =
  | { readonly kind: 'transmit'; readonly agreement: Agreement }
  /** Send what is due, then start TLS on the connection and come back with its client. */
  | { readonly kind: 'startTls' }
  /** Close after sending what is due. */
  | { readonly kind: 'end'; readonly reason: string }

export interface HandshakeOptions {
  readonly directory: ExportDirectory
  readonly tlsMode: TlsMode
  readonly client: NbdClient
  /** Asked for each option: the server is being shut down. */
  readonly stopping: () => boolean
}

const STATE_CLIENT_FLAGS = 0
const STATE_OPTIONS = 1

/**
 * The server's side of the fixed newstyle handshake ("Handshake" in the document). Knows no socket and no clock:
 * bytes in, `takeOutput()` out, until there is an outcome.
 */
export class Handshake {
  outcome: HandshakeOutcome | null = null
  #client: NbdClient
  readonly #options: HandshakeOptions
  #state = STATE_CLIENT_FLAGS
  #fixed = false
  #noZeroes = false
  #optionsSeen = 0
  #structured = false
  #extended = false
  /** The export that SET_META_CONTEXT selected base:allocation for. */
  #contextFor: string | null = null
  #output: Buffer[] = [encodeGreeting()]

  constructor(options: HandshakeOptions) {
    this.#options = options
    this.#client = options.client
  }

  takeOutput(): Buffer[] {
    const output = this.#output
    this.#output = []
    return output
  }

  /** TLS is up: everything that was agreed on in plain text is forgotten (NBD_OPT_STARTTLS). */
  secured(client: NbdClient): void {
    this.#client = client
    this.outcome = null
    this.#structured = false
    this.#extended = false
    this.#contextFor = null
  }

  /** Takes the whole messages at the start of `input`; answers how many bytes those were. */
  receive(input: Buffer): number {
    let at = 0
    while (this.outcome === null) {
      const length = this.#message(input.subarray(at))
      if (length === 0) break
      at += length
    }
    return at
  }

  /** One message; 0 when it is not all there. */
  #message(input: Buffer): number {
    if (this.#state === STATE_CLIENT_FLAGS) {
      if (input.length < CLIENT_FLAGS_BYTES) return 0
      this.#clientFlags(input.readUInt32BE(0))
      return CLIENT_FLAGS_BYTES
    }
    if (input.length < OPTION_HEADER_BYTES) return 0
    const header = decodeOptionHeader(input)
    if (header === null) return this.#end('badOptionMagic')
    if (header.dataBytes > OPTION_BYTES_MAX) return this.#end('optionTooLong')
    const messageBytes = OPTION_HEADER_BYTES + header.dataBytes
    if (input.length < messageBytes) return 0
    if (++this.#optionsSeen > OPTIONS_MAX) return this.#end('tooManyOptions')
    this.#option(header.option, input.subarray(OPTION_HEADER_BYTES, messageBytes))
    return messageBytes
  }

  #clientFlags(flags: number): void {
    this.#state = STATE_OPTIONS
    this.#fixed = (flags & HandshakeFlag.FIXED_NEWSTYLE) !== 0
    this.#noZeroes = (flags & HandshakeFlag.NO_ZEROES) !== 0
    if ((flags & ~(HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES)) !== 0) {
      this.#end('unknownClientFlags')
    }
  }

  #option(option: number, data: Buffer): void {
    if (option === NbdOption.EXPORT_NAME) return this.#exportName(data)
    // "Newstyle negotiation": without the fixed form there is no reply that the client would understand.
    if (!this.#fixed) {
      this.#end('optionWithoutFixedNewstyle')
      return
    }
    if (option === NbdOption.ABORT) {
      this.#reply(option, OptionReply.ACK)
      this.#end('abortedByClient')
      return
    }
    if (this.#options.stopping()) return this.#reply(option, OptionReply.ERR_SHUTDOWN)
    if (this.#tlsMissing && option !== NbdOption.STARTTLS)
      return this.#reply(option, OptionReply.ERR_TLS_REQD)
    switch (option) {
      case NbdOption.STARTTLS:
        return this.#startTls(data)
      case NbdOption.LIST:
        return this.#list(data)
      case NbdOption.INFO:
      case NbdOption.GO:
        return this.#info(option, data)
      case NbdOption.STRUCTURED_REPLY:
        return this.#structuredReply(data)
      case NbdOption.EXTENDED_HEADERS:
        return this.#extendedHeaders(data)
      case NbdOption.LIST_META_CONTEXT:
      case NbdOption.SET_META_CONTEXT:
        return this.#metaContext(option, data)
      default:
        return this.#reply(option, OptionReply.ERR_UNSUP)
    }
  }

  get #tlsMissing(): boolean {
    return this.#options.tlsMode === 'required' && !this.#client.tls
  }

  /** The old way to an export: its only answer to anything wrong is the end of the connection. */
  #exportName(data: Buffer): void {
    const name = decodeString(data)
    if (name === null || this.#extended || this.#tlsMissing || this.#options.stopping()) {
      this.#end('exportNameRefused')
      return
    }
    const found = this.#find(name)
    if (found.found !== 'yes') {
      this.#end('unknownExport')
      return
    }
    const { volume } = found.export
    const flags = this.#flagsOf(found.export, name)
    this.#output.push(encodeExportNameReply(volume.sizeBytes, flags, this.#noZeroes))
    this.#transmit(found.export, name)
  }

  #startTls(data: Buffer): void {
    const option = NbdOption.STARTTLS
    if (data.length > 0 || this.#client.tls) return this.#reply(option, OptionReply.ERR_INVALID)
    if (this.#options.tlsMode === 'off') return this.#reply(option, OptionReply.ERR_POLICY)
    this.#reply(option, OptionReply.ACK)
    this.outcome = { kind: 'startTls' }
  }

  #list(data: Buffer): void {
    if (data.length > 0) return this.#reply(NbdOption.LIST, OptionReply.ERR_INVALID)
    for (const { name, description } of this.#options.directory.list(this.#client)) {
      this.#output.push(
        encodeOptionReply(NbdOption.LIST, OptionReply.SERVER, encodeServer(name, description)),
      )
    }
    this.#reply(NbdOption.LIST, OptionReply.ACK)
  }

  #info(option: number, data: Buffer): void {
    const request = decodeInfoRequest(data)
    if (request === null) return this.#reply(option, OptionReply.ERR_INVALID)
    const found = this.#find(request.name)
    if (found.found !== 'yes') return this.#refuse(option, found)
    const { volume, name, description } = found.export
    const info = (payload: Buffer) => this.#output.push(encodeOptionReply(option, OptionReply.INFO, payload))
    info(encodeExportInfo(volume.sizeBytes, this.#flagsOf(found.export, request.name)))
    if (request.wanted.has(NbdInfo.NAME)) info(encodeTextInfo(NbdInfo.NAME, name))
    if (request.wanted.has(NbdInfo.DESCRIPTION)) info(encodeTextInfo(NbdInfo.DESCRIPTION, description))
    if (request.wanted.has(NbdInfo.BLOCK_SIZE)) {
      info(encodeBlockSizeInfo(volume.blockSizeBytes, PREFERRED_BLOCK_BYTES, PAYLOAD_BYTES_MAX))
    }
    this.#reply(option, OptionReply.ACK)
    if (option === NbdOption.GO) this.#transmit(found.export, request.name)
  }

  #structuredReply(data: Buffer): void {
    const option = NbdOption.STRUCTURED_REPLY
    if (data.length > 0) return this.#reply(option, OptionReply.ERR_INVALID)
    if (this.#extended) return this.#reply(option, OptionReply.ERR_EXT_HEADER_REQD)
    this.#structured = true
    this.#reply(option, OptionReply.ACK)
  }

  #extendedHeaders(data: Buffer): void {
    const option = NbdOption.EXTENDED_HEADERS
    if (data.length > 0) return this.#reply(option, OptionReply.ERR_INVALID)
    this.#extended = true
    this.#reply(option, OptionReply.ACK)
  }

  #metaContext(option: number, data: Buffer): void {
    const sets = option === NbdOption.SET_META_CONTEXT
    // "Issuing this command replaces all previously-set metadata contexts (including when this command fails)".
    if (sets) this.#contextFor = null
    const request = decodeMetaContextQuery(data)
    if (request === null || (!this.#structured && !this.#extended)) {
      return this.#reply(option, OptionReply.ERR_INVALID)
    }
    const found = this.#find(request.name)
    if (found.found !== 'yes') return this.#refuse(option, found)
    if (matchContexts(request.queries, sets)) {
      if (sets) this.#contextFor = request.name
      const context = encodeMetaContext(sets ? ALLOCATION_CONTEXT_ID : 0, BASE_ALLOCATION)
      this.#output.push(encodeOptionReply(option, OptionReply.META_CONTEXT, context))
    }
    this.#reply(option, OptionReply.ACK)
  }

  #find(name: string): ExportLookup {
    return this.#options.directory.find(name, this.#client)
  }

  #refuse(option: number, { found }: ExportLookup): void {
    if (found === 'unavailable') return this.#reply(option, OptionReply.ERR_SHUTDOWN)
    // Alike for all names, so that what there is behind TLS cannot be found out without it.
    const hidden = this.#options.tlsMode === 'optional' && !this.#client.tls
    this.#reply(option, hidden ? OptionReply.ERR_TLS_REQD : OptionReply.ERR_UNKNOWN)
  }

  get #style(): ReplyStyle {
    if (this.#extended) return ReplyStyle.extended
    return this.#structured ? ReplyStyle.structured : ReplyStyle.simple
  }

  #flagsOf(chosen: NbdExport, name: string): number {
    const readOnly = chosen.readOnly || chosen.volume.readOnly
    const resizable = chosen.resize !== null
    const blockStatus = this.#contextFor === name
    return transmissionFlags({ readOnly, resizable, style: this.#style, blockStatus })
  }

  #transmit(chosen: NbdExport, name: string): void {
    const agreement = { export: chosen, style: this.#style, blockStatus: this.#contextFor === name }
    this.outcome = { kind: 'transmit', agreement }
  }

  #reply(option: number, type: OptionReply): void {
    this.#output.push(encodeOptionReply(option, type, EXPLANATIONS[type]))
  }

  #end(reason: string): 0 {
    this.outcome = { kind: 'end', reason }
    return 0
  }
}

/** The one metadata context that there is. */
export const ALLOCATION_CONTEXT_ID = 1

/** For people: "All error replies MAY have some data set". */
const EXPLANATIONS: Partial<Record<OptionReply, string>> = {
  [OptionReply.ERR_UNSUP]: 'this server does not know the option',
  [OptionReply.ERR_POLICY]: 'TLS is off on this listener',
  [OptionReply.ERR_INVALID]: 'the option is malformed or comes at the wrong time',
  [OptionReply.ERR_TLS_REQD]: 'this needs TLS',
  [OptionReply.ERR_UNKNOWN]: 'there is no such export for this client',
  [OptionReply.ERR_SHUTDOWN]: 'not served at the moment; try again later',
}
