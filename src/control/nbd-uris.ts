import { reachableAddress } from './cluster-portals.ts'
import type { NbdAccess } from './nbd-access.ts'
import type { NbdPortal } from './ports.ts'

/** What a client on this machine would dial, for listeners on all addresses. */
const LOCAL = ['127.0.0.1:0', '[::1]:0'] as const

/** NBD URIs of a volume on the listeners that are up, ready to paste; none when nobody may use it. */
export function nbdUris(volume: string, access: NbdAccess, portals: readonly NbdPortal[]): string[] {
  if (access.mode === 'off') return []
  return portals.flatMap(portal => {
    const tls = portal.tls === 'required' || access.mode === 'tls'
    if (tls && portal.tls === 'off') return []
    const scheme = tls ? 'nbds' : 'nbd'
    if (portal.unix) return `${scheme}+unix:///${volume}?socket=${portal.address}`
    const address = reachableAddress(portal, LOCAL[0]) ?? reachableAddress(portal, LOCAL[1])
    return address === null ? [] : `${scheme}://${address}/${volume}`
  })
}
