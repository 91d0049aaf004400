import type { IoStats } from '../lib/io-stats.ts'
import type { NbdConnection } from './connection.ts'

/** A connection in the transmission phase, as it is shown and kicked. */
export interface NbdSession {
  readonly id: string
  /** TLS identity, or the address that the client has come from. */
  readonly client: string
  readonly export: string
  readonly tls: boolean
  readonly portal: string
  readonly remoteAddress: string
  readonly connectedAt: Date
  /** Live counters. */
  readonly stats: IoStats
}

/** Null while the handshake goes on. */
export function sessionOf(connection: NbdConnection): NbdSession | null {
  const { transmission, client } = connection
  if (transmission === null) return null
  return {
    id: String(connection.id),
    client: client.identity ?? client.remoteAddress,
    export: transmission.agreement.export.name,
    tls: client.tls,
    portal: connection.portal,
    remoteAddress: client.remoteAddress,
    connectedAt: connection.connectedAt,
    stats: transmission.stats,
  }
}
