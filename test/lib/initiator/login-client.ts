import { encodeKeyValues, parseKeyValues } from '../../../src/iscsi-target/text/key-value.ts'
import { BHS_BYTES } from '../../../src/iscsi-target/wire/bhs.ts'
import {
  decodeLoginResponse,
  encodeLoginRequest,
  type LoginRequestFields,
  type LoginResponseFields,
} from '../../../src/iscsi-target/wire/login.ts'
import { Opcode } from '../../../src/iscsi-target/wire/opcodes.ts'
import { isRejection } from '../../../src/iscsi-target/wire/rejection.ts'
import { ChapClient, type ChapCredentials } from './chap-client.ts'
import type { Inbox } from './inbox.ts'
import type { PduChannel } from './pdu-channel.ts'

export interface LoginOptions {
  readonly initiatorName?: string
  /** Null asks for a discovery session. */
  readonly targetName: string | null
  readonly isid?: string
  readonly tsih?: number
  readonly cid?: number
  readonly cmdSn?: number
  /** Operational keys; added to those of DEFAULT_KEYS, or instead of one of the same name. */
  readonly keys?: Readonly<Record<string, string>>
  /** AuthMethod as offered: goes through the security stage. Default with `chap`: CHAP. */
  readonly authMethod?: string
  readonly chap?: ChapCredentials
  /** Cuts every text into pieces of this many bytes, sent with the C bit. */
  readonly splitBytes?: number
}

export interface LoginAnswer {
  /** Class and detail; 0 is success. */
  readonly status: number
  readonly header: LoginResponseFields
  /** Everything that the target said, in all of its responses. */
  readonly keys: ReadonlyMap<string, string>
  /** The algorithm that CHAP used, or null. */
  readonly chapAlgorithm: number | null
}

const DEFAULT_INITIATOR_NAME = 'iqn.2026-11.test:initiator'
const DEFAULT_ISID = '00023d4f0001'

/** What stock initiators propose. */
const DEFAULT_KEYS: Readonly<Record<string, string>> = {
  HeaderDigest: 'None',
  DataDigest: 'None',
  InitialR2T: 'No',
  ImmediateData: 'Yes',
  MaxRecvDataSegmentLength: '262144',
  MaxBurstLength: '16776192',
  FirstBurstLength: '262144',
  MaxOutstandingR2T: '1',
  ErrorRecoveryLevel: '0',
}
const SECURITY = 0
const OPERATIONAL = 1
const FULL_FEATURE = 3

/** One login over a channel, request by request. */
export class LoginClient {
  readonly #channel: PduChannel
  readonly #inbox: Inbox
  readonly #options: LoginOptions
  readonly #heard = new Map<string, string>()
  #expStatSn = 0

  constructor(channel: PduChannel, inbox: Inbox, options: LoginOptions) {
    this.#channel = channel
    this.#inbox = inbox
    this.#options = options
  }

  async run(): Promise<LoginAnswer> {
    const { authMethod, chap } = this.#options
    const method = authMethod ?? (chap === undefined ? undefined : 'CHAP')
    let opening = this.#identity()
    let client: ChapClient | null = null
    if (method !== undefined) {
      client = chap === undefined ? null : new ChapClient(chap)
      const header = await this.#authenticate({ ...opening, AuthMethod: method }, client)
      if (header.statusClass !== 0) return this.#answer(header, client)
      opening = {}
    }
    const keys = { ...opening, ...DEFAULT_KEYS, ...this.#options.keys }
    return this.#answer(await this.exchange(keys, OPERATIONAL, FULL_FEATURE), client)
  }

  /** Sends a text, split if so asked, and answers the last response. `nsg` null leaves T off. */
  async exchange(
    keys: Readonly<Record<string, string>>,
    csg: number,
    nsg: number | null,
  ): Promise<LoginResponseFields> {
    const text = encodeKeyValues(Object.entries(keys).map(([key, value]) => ({ key, value })))
    const step = this.#options.splitBytes ?? Math.max(text.length, 1)
    let header = null
    for (let at = 0; header === null || at < text.length; at += step) {
      const continued = at + step < text.length
      header = await this.#request(text.subarray(at, at + step), { continued, csg, nsg })
      if (header.statusClass !== 0) return header
    }
    return header
  }

  async #authenticate(
    opening: Record<string, string>,
    client: ChapClient | null,
  ): Promise<LoginResponseFields> {
    let header = await this.exchange(opening, SECURITY, client === null ? OPERATIONAL : null)
    if (client === null || header.statusClass !== 0 || this.#heard.get('AuthMethod') !== 'CHAP') {
      return header
    }
    header = await this.exchange(client.offer, SECURITY, null)
    if (header.statusClass !== 0) return header
    const response = client.respond(this.#heard)
    for (const key of ['CHAP_N', 'CHAP_R']) this.#heard.delete(key)
    header = await this.exchange(response, SECURITY, OPERATIONAL)
    if (header.statusClass === 0 && !client.verify(this.#heard)) {
      throw new Error('the target did not prove itself')
    }
    return header
  }

  async #request(
    data: Buffer,
    { continued, csg, nsg }: { continued: boolean; csg: number; nsg: number | null },
  ): Promise<LoginResponseFields> {
    const fields: LoginRequestFields = {
      transit: nsg !== null && !continued,
      continued,
      csg,
      nsg: continued ? 0 : (nsg ?? 0),
      versionMax: 0,
      versionMin: 0,
      isid: this.#options.isid ?? DEFAULT_ISID,
      tsih: this.#options.tsih ?? 0,
      itt: 0,
      cid: this.#options.cid ?? 0,
      cmdSn: this.#options.cmdSn ?? 1,
      expStatSn: this.#expStatSn,
    }
    const request = Buffer.alloc(BHS_BYTES)
    encodeLoginRequest(request, 0, fields, data.length)
    this.#channel.send(request, { data })
    const pdu = await this.#inbox.next(({ opcode }) => opcode === Opcode.loginResponse, 'a login response')
    const header = decodeLoginResponse(pdu.header, 0)
    this.#expStatSn = (header.statSn + 1) >>> 0
    const pairs = parseKeyValues(pdu.data)
    if (isRejection(pairs)) throw new Error(pairs.fault)
    for (const { key, value } of pairs) this.#heard.set(key, value)
    return header
  }

  #identity(): Record<string, string> {
    const { initiatorName, targetName } = this.#options
    const target: Record<string, string> =
      targetName === null ? { SessionType: 'Discovery' } : { TargetName: targetName }
    return { InitiatorName: initiatorName ?? DEFAULT_INITIATOR_NAME, ...target }
  }

  #answer(header: LoginResponseFields, client: ChapClient | null): LoginAnswer {
    const status = header.statusClass * 256 + header.statusDetail
    return { status, header, keys: this.#heard, chapAlgorithm: client?.algorithm ?? null }
  }
}
