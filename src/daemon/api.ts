import { createApi } from '../api/api-server.ts'
import type { ApiBackend } from '../api/backend.ts'
import { formatHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../lib/log.ts'
import type { Closers } from './closers.ts'
import { dialledAddress } from './dialled-address.ts'
import { listening } from './listen.ts'
import { loadKeyPair } from './tls-files.ts'

/** Requests that still run when the daemon stops get this long; then their connections are cut. */
const STOP_GRACE_MS = 5_000

export interface ApiParts {
  readonly config: Config
  readonly log: Log
  readonly version: string
  readonly backend: ApiBackend
  readonly closers: Closers
}

/** Opens the API as configured and answers its URL. Rejects with ERR_LISTEN or ERR_CONFIG_INVALID. */
export async function openApi({ config, log, version, backend, closers }: ApiParts): Promise<string> {
  const { listen, token, tls } = config.api
  const app = await createApi({
    backend,
    log,
    version,
    token,
    tls: tls === null ? null : await loadKeyPair('api.tls', tls),
  })
  closers.add('API', async () => {
    const timer = setTimeout(() => app.server.closeAllConnections(), STOP_GRACE_MS)
    await app.close()
    clearTimeout(timer)
  })
  await listening('the API', formatHostPort(listen), () =>
    app.listen({ host: listen.host, port: listen.port }),
  )
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : listen.port
  return `${tls === null ? 'http' : 'https'}://${formatHostPort(dialledAddress({ host: listen.host, port }))}`
}
