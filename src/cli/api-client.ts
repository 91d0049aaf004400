import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, Readable } from 'node:stream'
import { NOTICE_HEADER } from '../api/notice.ts'
import { isLoopback, parseHostPort } from '../config/host-port.ts'
import { systemReason } from '../lib/system-error.ts'
import { CliError, ExitCode } from './exit-codes.ts'

export interface ApiClientOptions {
  /** A URL, or HOST:PORT. */
  readonly url: string
  readonly token: string | null
  /** PEM of the authority that signed the daemon's certificate. */
  readonly ca: Buffer | null
  /** Called with what the daemon says beside an answer. */
  notice(sentence: string): void
}

export const DEFAULT_API_URL = 'http://127.0.0.1:9280'

/** Connecting and each answer; transfers may take as long as they move. */
const SILENCE_MS_MAX = 60_000

type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** Speaks to one daemon. Failures are CliErrors: unreachable, or refused with the daemon's own sentence. */
export class ApiClient {
  readonly #base: URL
  readonly #options: ApiClientOptions

  constructor(options: ApiClientOptions) {
    this.#options = options
    this.#base = baseUrl(options.url)
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json('GET', path, query)
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    return this.#json('POST', path, {}, body)
  }

  put<T>(path: string, body?: unknown): Promise<T> {
    return this.#json('PUT', path, {}, body)
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.#json('PATCH', path, {}, body)
  }

  delete<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json('DELETE', path, query)
  }

  /** Sends a stream as it comes, no faster than the daemon takes it. */
  async upload<T>(path: string, query: Query, type: string, body: AsyncIterable<Buffer>): Promise<T> {
    const request = this.#request('POST', path, query, { 'content-type': type })
    const source = Readable.from(body, { objectMode: false, highWaterMark: 1 })
    const failure = { ofSource: null as Error | null }
    source.once('error', error => {
      failure.ofSource = error
    })
    const response = this.#response(request)
    // An early refusal ends the upload; what the pipeline says of that is not the reason.
    pipeline(source, request, () => {})
    try {
      return (await readJson(await response)) as T
    } catch (error) {
      throw failure.ofSource ?? error
    } finally {
      source.destroy()
      request.destroy()
    }
  }

  async download(path: string): Promise<AsyncIterable<Buffer>> {
    const request = this.#request('GET', path, {}, {})
    request.end()
    return this.#response(request)
  }

  async #json<T>(method: string, path: string, query: Query, body?: unknown): Promise<T> {
    const text = body === undefined ? null : Buffer.from(JSON.stringify(body))
    const headers: Record<string, string | number> =
      text === null ? {} : { 'content-type': 'application/json', 'content-length': text.length }
    const request = this.#request(method, path, query, headers)
    request.end(text ?? undefined)
    return (await readJson(await this.#response(request))) as T
  }

  #request(
    method: string,
    path: string,
    query: Query,
    headers: Record<string, string | number>,
  ): ClientRequest {
    const url = new URL(`v1/${path}`, this.#base)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    const { token, ca } = this.#options
    const open = url.protocol === 'https:' ? httpsRequest : httpRequest
    return open(url, {
      method,
      timeout: SILENCE_MS_MAX,
      headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
      ...(ca === null ? {} : { ca }),
    })
  }

  /** Resolves with a success, rejects with whatever else comes. */
  async #response(request: ClientRequest): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.once('timeout', () => request.destroy(new Error('it does not answer')))
      request.on('error', error => reject(this.#unreachable(error)))
    })
    const status = response.statusCode ?? 0
    const notice = response.headers[NOTICE_HEADER]
    if (typeof notice === 'string') this.#options.notice(notice)
    if (status >= 200 && status < 300) return response
    const hint = status === 401 ? ' (--api-token-file or HOLDFAST_API_TOKEN)' : ''
    throw new CliError(ExitCode.refused, `${await refusalOf(response, status)}${hint}`)
  }

  #unreachable(error: NodeJS.ErrnoException): CliError {
    const message = `the daemon at ${this.#base.origin} cannot be reached: ${whyUnreachable(error, this.#base)}`
    return new CliError(ExitCode.unreachable, message, { cause: error })
  }
}

/** OpenSSL's and Node's codes for a certificate that nobody here vouches for. */
const UNTRUSTED = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED_|CERT_UNTRUSTED)/

/** What TLS says to an answer in plain text, which depends on OpenSSL's version. */
const NOT_TLS = /^(?:EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/

function whyUnreachable(error: NodeJS.ErrnoException, base: URL): string {
  const code = error.code ?? ''
  if (code === 'ECONNREFUSED') return 'nothing listens there; is it running?'
  if (NOT_TLS.test(code) && base.protocol === 'https:')
    return 'what listens there does not speak TLS; try http://'
  if (code === 'ECONNRESET' && base.protocol === 'http:') {
    return 'it closed the connection without an answer; if it speaks TLS, try https://'
  }
  if (UNTRUSTED.test(code)) return 'its certificate is of an unknown authority; --api-ca names the right one'
  return systemReason(error)
}

/** Escapes one part of a path: names hold slashes at most by mistake. */
export function segment(text: string): string {
  return encodeURIComponent(text)
}

function baseUrl(text: string): URL {
  const address = parseHostPort(text)
  const scheme = address !== null && isLoopback(address.host) ? 'http' : 'https'
  try {
    const url = new URL(address === null ? text : `${scheme}://${text}`)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('not HTTP')
    return new URL(url.pathname.endsWith('/') ? url : `${url}/`)
  } catch {
    throw new CliError(ExitCode.usage, `'${text}' is not the URL of an API: write it like ${DEFAULT_API_URL}`)
  }
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const text = await readText(response)
  return text === '' ? null : JSON.parse(text)
}

async function readText(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString('utf8')
}

async function refusalOf(response: IncomingMessage, status: number): Promise<string> {
  const text = await readText(response)
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown }
    if (typeof detail === 'string') return detail
  } catch {
    // Not a problem document: something else than a daemon answered.
  }
  return `the API answered ${status} ${response.statusMessage ?? ''}`.trimEnd()
}
