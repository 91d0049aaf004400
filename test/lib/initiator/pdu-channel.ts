import net from 'node:net'
import {
  ahsBytesOf,
  BHS_BYTES,
  dataSegmentBytesOf,
  opcodeOf,
  paddedBytes,
} from '../../../src/iscsi-target/wire/bhs.ts'
import { DIGEST_BYTES, digestMatches, putDigest } from '../../../src/iscsi-target/wire/digest.ts'

export interface ReceivedPdu {
  readonly opcode: number
  /** Header and AHS. */
  readonly header: Buffer
  readonly data: Buffer
}

export interface SendOptions {
  readonly data?: Buffer
  readonly ahs?: Buffer
  readonly breakHeaderDigest?: boolean
  readonly breakDataDigest?: boolean
}

/** PDUs over a socket, with digests once they are switched on; what arrives with a wrong digest is an error. */
export class PduChannel {
  readonly socket: net.Socket
  headerDigest = false
  dataDigest = false
  /** Set by whoever wants the PDUs, before the first await. */
  onPdu: (pdu: ReceivedPdu) => void = () => {}
  /** Resolves when the socket is closed, by whichever side. */
  readonly closed: Promise<void>
  #received: Buffer = Buffer.alloc(0)
  #fault: Error | null = null

  constructor(socket: net.Socket) {
    this.socket = socket
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', bytes => this.#take(bytes))
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<PduChannel> {
    const socket = net.connect(port, host)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return new PduChannel(socket)
  }

  /** A digest of the peer was wrong: nothing more is read. */
  get fault(): Error | null {
    return this.#fault
  }

  send(header: Buffer, options?: SendOptions): void {
    this.sendRaw(this.frame(header, options))
  }

  /** The lengths in `header` must be those of `ahs` and `data`, unless a test wants them wrong. */
  frame(
    header: Buffer,
    { data = Buffer.alloc(0), ahs, breakHeaderDigest, breakDataDigest }: SendOptions = {},
  ): Buffer {
    const head = ahs === undefined ? header : Buffer.concat([header, ahs])
    const parts = [head]
    if (this.headerDigest) parts.push(digestOf(head, breakHeaderDigest ?? false))
    if (data.length > 0) {
      const padded = Buffer.concat([data, Buffer.alloc(paddedBytes(data.length) - data.length)])
      parts.push(padded)
      if (this.dataDigest) parts.push(digestOf(padded, breakDataDigest ?? false))
    }
    return Buffer.concat(parts)
  }

  sendRaw(bytes: Buffer): void {
    this.socket.write(bytes)
  }

  close(): void {
    this.socket.destroy()
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    for (let pdu = this.#next(); pdu !== null; pdu = this.#next()) this.onPdu(pdu)
  }

  #next(): ReceivedPdu | null {
    const bytes = this.#received
    if (this.#fault !== null || bytes.length < BHS_BYTES) return null
    const headBytes = BHS_BYTES + ahsBytesOf(bytes, 0)
    const dataBytes = dataSegmentBytesOf(bytes, 0)
    const dataAt = headBytes + (this.headerDigest ? DIGEST_BYTES : 0)
    const dataEnd = dataAt + paddedBytes(dataBytes)
    const end = dataEnd + (this.dataDigest && dataBytes > 0 ? DIGEST_BYTES : 0)
    if (bytes.length < end) return null
    if (this.headerDigest && !digestMatches(bytes, headBytes, 0, headBytes))
      return this.#fail('header digest')
    if (end > dataEnd && !digestMatches(bytes, dataEnd, dataAt, dataEnd - dataAt))
      return this.#fail('data digest')
    this.#received = bytes.subarray(end)
    return {
      opcode: opcodeOf(bytes, 0),
      header: Buffer.from(bytes.subarray(0, headBytes)),
      data: Buffer.from(bytes.subarray(dataAt, dataAt + dataBytes)),
    }
  }

  #fail(what: string): null {
    this.#fault = new Error(`the target sent a wrong ${what}`)
    this.close()
    return null
  }
}

function digestOf(bytes: Buffer, broken: boolean): Buffer {
  const withDigest = Buffer.concat([bytes, Buffer.alloc(DIGEST_BYTES)])
  putDigest(withDigest, bytes.length, 0, bytes.length)
  if (broken) withDigest[bytes.length] ^= 0xff
  return withDigest.subarray(bytes.length)
}
