import { Etcd3, type IOptions } from 'etcd3'
import { HoldfastError } from '../../errors/holdfast-error.ts'

export interface EtcdEndpointsOptions {
  /** `host:port` or URL, at least one. */
  readonly endpoints: readonly string[]
  /** PEM; cert and key where etcd asks clients for certificates. */
  readonly tls?: { readonly ca: Uint8Array; readonly cert?: Uint8Array; readonly key?: Uint8Array } | null
  readonly auth?: { readonly user: string; readonly password: string } | null
}

/** A call that is not answered by then is given up; its outcome is unknown. */
const CALL_DEADLINE_MS = 2000
/** Below 5 s etcd hangs up on a client for pinging too much. */
const GRPC_KEEPALIVE = { 'grpc.keepalive_time_ms': 6000, 'grpc.keepalive_timeout_ms': 2000 } as const

type Policies = NonNullable<IOptions['faultHandling']>

// etcd3 retries by itself, transactions included, and breaks circuits: both hide what really happened.
const once = { execute: async (call: (context: object) => unknown) => call({}) }
const FAULT_HANDLING = { host: () => once, global: once } as unknown as Policies

interface GrpcCall {
  start(metadata: { set(key: string, value: string): void }, listener: unknown): void
}
interface GrpcCallOptions {
  readonly method_definition: { readonly path: string }
}

/** An etcd member that has no leader ends the watches that ask for one; others it leaves open and silent. */
function requireLeader(options: GrpcCallOptions, nextCall: (options: GrpcCallOptions) => GrpcCall): GrpcCall {
  const call = nextCall(options)
  if (options.method_definition.path !== '/etcdserverpb.Watch/Watch') return call
  const start = call.start.bind(call)
  call.start = (metadata, listener) => {
    metadata.set('hasleader', 'true')
    start(metadata, listener)
  }
  return call
}

/** The members of an etcd cluster: one client each, and the one that answered last is asked first. */
export class EtcdEndpoints {
  readonly #clients: Etcd3[]
  readonly #listeners = new Set<() => void>()

  constructor({ endpoints, tls, auth }: EtcdEndpointsOptions) {
    this.#clients = endpoints.map(
      hosts =>
        new Etcd3({
          hosts,
          ...(tls === undefined || tls === null ? {} : { credentials: credentialsOf(tls) }),
          ...(auth === undefined || auth === null
            ? {}
            : { auth: { username: auth.user, password: auth.password } }),
          grpcOptions: {
            ...GRPC_KEEPALIVE,
            'grpc.max_receive_message_length': -1,
            interceptors: [requireLeader],
          },
          defaultCallOptions: call => (call.isStream ? {} : { deadline: Date.now() + CALL_DEADLINE_MS }),
          faultHandling: FAULT_HANDLING,
        }),
    )
  }

  get preferred(): Etcd3 {
    return this.#clients[0]!
  }

  /** The preferred member failed: another one is asked from now on. */
  preferNext(failed: Etcd3): void {
    if (this.#clients[0] !== failed || this.#clients.length === 1) return
    this.#clients.push(this.#clients.shift()!)
    for (const listener of [...this.#listeners]) listener()
  }

  /** `listener` is called when another member is preferred; the answer takes it off again. */
  onMove(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** One attempt: for whatever must not be done twice. */
  async call<T>(work: (client: Etcd3) => Promise<T>): Promise<T> {
    const client = this.preferred
    try {
      return await work(client)
    } catch (error) {
      const translated = translate(error as Error)
      if (translated.code === 'ERR_METADATA_UNAVAILABLE') this.preferNext(client)
      throw translated
    }
  }

  /** Asks every member once before it gives up: for reads, and what may be done twice. */
  async callAny<T>(work: (client: Etcd3) => Promise<T>): Promise<T> {
    for (let left = this.#clients.length; ; left--) {
      try {
        return await this.call(work)
      } catch (error) {
        const gone = error instanceof HoldfastError && error.code === 'ERR_METADATA_UNAVAILABLE'
        if (!gone || left <= 1) throw error
      }
    }
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}

function credentialsOf({ ca, cert, key }: NonNullable<EtcdEndpointsOptions['tls']>): IOptions['credentials'] {
  const rootCertificate = Buffer.from(ca)
  if (cert === undefined || key === undefined) return { rootCertificate }
  return { rootCertificate, certChain: Buffer.from(cert), privateKey: Buffer.from(key) }
}

/** By message, since several of etcd's refusals share a gRPC status. rpctypes/error.go of etcd names them. */
function translate(error: Error): HoldfastError {
  if (error instanceof HoldfastError) return error
  const { message } = error
  if (/requested lease not found/.test(message)) {
    return new HoldfastError('ERR_METADATA_LEASE', undefined, { cause: error })
  }
  if (
    /required revision is a future|duplicate key given|too many operations|key is not provided/.test(message)
  ) {
    return new HoldfastError('ERR_ARGUMENT_INVALID', `etcd refused: ${message}`, { cause: error })
  }
  const says = `etcd does not answer: ${withoutGrpc(message)}`
  return new HoldfastError('ERR_METADATA_UNAVAILABLE', says, { cause: error })
}

/** What is left of grpc-js' message for somebody who knows etcd and not gRPC. */
function withoutGrpc(message: string): string {
  return message
    .replace(/^\d+ [A-Z_]+: /, '')
    .replace(/^No connection established\. Last error: (?:Error: )?/, '')
    .replace(/\.? Resolution note: .*$/, '')
    .replace(/^null$/, 'no connection')
}
