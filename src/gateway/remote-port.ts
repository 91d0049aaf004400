import { type CauseCode, causes } from '../errors/causes.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { type PeerLink, PeerRequest, PeerRequestKind, PeerStatus } from '../replication/peer-network.ts'
import { type GatewayCall, OWNER_CALLS, type OwnerPort } from './messages.ts'

/**
 * Sends a control request and answers what the reply says. Rejects with the peer's own error, or with
 * ERR_BLOCK_UNAVAILABLE when the connection ended first: then whether it was carried out is unknown.
 */
export function ask(link: PeerLink, volume: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = new PeerRequest({
      replied: ({ status, replyBody }) => {
        if (status === 0) resolve(replyBody)
        else reject(errorOf(status, replyBody))
      },
    })
    request.kind = PeerRequestKind.control
    request.volume = volume
    request.body = body
    link.send(request)
  })
}

function errorOf(status: number, body: unknown): HoldfastError {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown }
  if (status === PeerStatus.refused && typeof code === 'string' && Object.hasOwn(causes, code)) {
    return new HoldfastError(code as CauseCode, String(message))
  }
  return new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the volume cannot be reached at its owner')
}

/** A volume's owner in another daemon. */
export function remotePort(link: PeerLink, volume: string): OwnerPort {
  const calls = OWNER_CALLS.map(call => {
    const send = (...args: readonly unknown[]) => {
      const body: GatewayCall = { what: 'gatewayCall', call, args }
      return ask(link, volume, body)
    }
    return [call, send] as const
  })
  return Object.fromEntries(calls) as unknown as OwnerPort
}
