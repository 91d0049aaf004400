import type { PeerLink } from '../replication/peer-network.ts'
import type { OwnerPort } from './messages.ts'
import type { OwnedService } from './owned-service.ts'

/** The way to the owner of a volume: in this process, or over a link that is up. */
export type Route =
  | { readonly is: 'local'; readonly port: OwnerPort; readonly service: OwnedService }
  | { readonly is: 'remote'; readonly port: OwnerPort; readonly link: PeerLink; readonly connection: number }

export function isSameRoute(a: Route | null, b: Route | null): boolean {
  if (a === null || b === null) return a === b
  if (a.is === 'local') return b.is === 'local' && a.service === b.service
  return b.is === 'remote' && a.link === b.link && a.connection === b.connection
}
