import fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler } from 'fastify-type-provider-zod'
import type { Log } from '../lib/log.ts'
import type { ApiBackend } from './backend.ts'
import { installGuard } from './guard.ts'
import { installOpenApi } from './openapi.ts'
import { installProblems, sendFrameworkProblem } from './problem.ts'
import { connectionRoutes } from './routes/connections.ts'
import { healthRoutes } from './routes/health.ts'
import { operationRoutes } from './routes/operations.ts'
import { peerRoutes } from './routes/peers.ts'
import { targetRoutes } from './routes/targets.ts'
import { volumeDataRoutes } from './routes/volume-data.ts'
import { volumeRoutes } from './routes/volumes.ts'
import { installTurns } from './turns.ts'
import { validatorCompiler } from './validator.ts'

export interface ApiOptions {
  readonly backend: ApiBackend
  readonly log: Log
  readonly version: string
  readonly token: string | null
  /** PEM. */
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | null
}

const CONNECTIONS_MAX = 256
const BODY_BYTES_MAX = 64 * 1024
/** A client that vanished in the middle of an import would keep the volume from every other one. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const
/** Characters of a name or an IQN as it stands in a path, escapes included. */
const PATH_PART_MAX = 512

/** The REST API, ready to listen or to inject(). Whoever makes it closes it. */
export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const { backend, log, version } = options
  const app = fastify({
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: PATH_PART_MAX },
    frameworkErrors: sendFrameworkProblem,
    ...(options.tls === null ? { http: KEEP_ALIVE } : { https: { ...KEEP_ALIVE, ...options.tls } }),
  }) as FastifyInstance
  app.server.maxConnections = CONNECTIONS_MAX
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  installProblems(app, log)
  installTurns(app)
  installGuard(app, { token: options.token })
  await installOpenApi(app, version)
  await app.register(healthRoutes, { backend })
  for (const routes of [
    volumeRoutes,
    volumeDataRoutes,
    connectionRoutes,
    targetRoutes,
    peerRoutes,
    operationRoutes,
  ]) {
    await app.register(routes, { prefix: '/v1', backend })
  }
  await app.ready()
  return app
}
