import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, Readable } from 'node:stream'
import { NOTICE_HEADER } from '../api/notice.ts'
import { isLoopback, parseHostPort } from '../config/host-port.ts'
import { CliError, ExitCode } from './exit-codes.ts'
import { connectionBroke, unreachable } from './unreachable.ts'

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

/** Connecting, each answer and each piece of a transfer; an import says in between that it is at work. */
const SILENCE_MS_MAX = 60_000
/** What is only looked at is answered within seconds, also where other daemons are asked. */
const LOOK_MS_MAX = 15_000

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
      return (await this.#readJson(await response)) as T
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
    return this.#pieces(await this.#response(request))
  }

  async #json<T>(method: string, path: string, query: Query, body?: unknown): Promise<T> {
    const text = body === undefined ? null : Buffer.from(JSON.stringify(body))
    const headers: Record<string, string | number> =
      text === null ? {} : { 'content-type': 'application/json', 'content-length': text.length }
    const request = this.#request(method, path, query, headers)
    request.end(text ?? undefined)
    return (await this.#readJson(await this.#response(request))) as T
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
      timeout: method === 'GET' ? LOOK_MS_MAX : SILENCE_MS_MAX,
      headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
      ...(ca === null ? {} : { ca }),
    })
  }

  /** Resolves with a success, rejects with whatever else comes. */
  async #response(request: ClientRequest): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve)
      request.once('timeout', () => request.destroy(new Error('it does not answer')))
      request.on('error', error => reject(unreachable(this.#base, error)))
    })
    const status = response.statusCode ?? 0
    const notice = response.headers[NOTICE_HEADER]
    if (typeof notice === 'string') this.#options.notice(notice)
    if (status >= 200 && status < 300) return response
    const hint = status === 401 ? ' (--api-token-file or HOLDFAST_API_TOKEN)' : ''
    throw new CliError(ExitCode.refused, `${await this.#refusalOf(response, status)}${hint}`)
  }

  async #refusalOf(response: IncomingMessage, status: number): Promise<string> {
    const text = await readText(this.#pieces(response))
    try {
      const { detail } = JSON.parse(text) as { detail?: unknown }
      if (typeof detail === 'string') return detail
    } catch {
      // Not a problem document: something else than a daemon answered.
    }
    return `the API answered ${status} ${response.statusMessage ?? ''}`.trimEnd()
  }

  /** What comes of an answer. Silence counts only while somebody waits for more: whoever takes it may be slow. */
  async *#pieces(response: IncomingMessage): AsyncGenerator<Buffer> {
    const { socket } = response
    const pieces = response[Symbol.asyncIterator]()
    try {
      for (;;) {
        socket.setTimeout(SILENCE_MS_MAX)
        const { done, value } = await pieces.next().catch(error => {
          throw connectionBroke(this.#base, error)
        })
        socket.setTimeout(0)
        if (done) return
        yield value as Buffer
      }
    } finally {
      response.destroy()
    }
  }

  async #readJson(response: IncomingMessage): Promise<unknown> {
    const text = await readText(this.#pieces(response))
    try {
      return text === '' ? null : JSON.parse(text)
    } catch {
      const message = `what answers at ${this.#base.origin} is no daemon of Holdfast`
      throw new CliError(ExitCode.refused, message)
    }
  }
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

async function readText(pieces: AsyncIterable<Buffer>): Promise<string> {
  const read: Buffer[] = []
  for await (const piece of pieces) read.push(piece)
  return Buffer.concat(read).toString('utf8')
}
