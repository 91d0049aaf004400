import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { isLoopback } from '../config/host-port.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'

export interface GuardOptions {
  readonly token: string | null
}

/** Answer without a token: what an orchestrator asks, and the page that has a field for the token. */
const OPEN_PATHS = /^\/(?:healthz|readyz|docs(?:\/.*)?|openapi\.json)?(?:\?.*)?$/

/**
 * Who may ask. With a token: whoever carries it. Without (then we listen on loopback alone): no page of another
 * site in a browser of this machine, be it by a cross-site request or by a name that was rebound to us.
 */
export function installGuard(app: FastifyInstance, options: GuardOptions): void {
  const expected = options.token === null ? null : digest(`Bearer ${options.token}`)
  app.addHook('onRequest', async (request, reply) => {
    const { origin, host } = request.headers
    if (origin !== undefined && hostOfOrigin(origin) !== host) {
      throw new HoldfastError('ERR_FORBIDDEN', `requests from ${origin} are refused`)
    }
    if (expected === null) {
      if (host !== undefined && !isLoopback(hostNameOf(host))) {
        throw new HoldfastError(
          'ERR_FORBIDDEN',
          `without a token the API answers to loopback names, not to ${host}`,
        )
      }
      return
    }
    if (OPEN_PATHS.test(request.url)) return
    const { authorization } = request.headers
    if (!timingSafeEqual(digest(authorization ?? ''), expected)) {
      reply.header('www-authenticate', 'Bearer realm="holdfast"')
      const says =
        authorization === undefined
          ? "the request needs the daemon's bearer token"
          : "the bearer token is not the daemon's"
      throw new HoldfastError('ERR_UNAUTHORIZED', says)
    }
  })
}

/** Digests have one length, as timingSafeEqual wants. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function hostOfOrigin(origin: string): string | null {
  try {
    return new URL(origin).host
  } catch {
    return null
  }
}

function hostNameOf(hostHeader: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(hostHeader)
  return bracketed !== null ? bracketed[1]! : hostHeader.replace(/:\d+$/, '')
}
