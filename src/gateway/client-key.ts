import { normalizeIscsiName } from '../lib/names.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'

/** Whose writes one gateway passes on at a time. PROTOCOL rule 17: an initiator, or all of NBD. */
export type StreamKey = string

/** `gateway`: the peer's small number. Its own imports and the like compete with nobody. */
export function streamKeyOf(client: ClientIdentity, gateway: number): StreamKey {
  if (client.protocol === 'iscsi') return `iscsi ${client.initiatorName}`
  return client.protocol === 'nbd' ? 'nbd' : `internal ${gateway}`
}

/** `initiator` as normalizeIscsiName has it; keys carry names as they were sent. */
export function isStreamOf(key: StreamKey, initiator: string): boolean {
  const [protocol, name] = key.split(' ', 2)
  return protocol === 'iscsi' && normalizeIscsiName(name ?? '') === initiator
}

/** For people; null for what is no client of anybody. */
export function clientName(client: ClientIdentity): string | null {
  if (client.protocol === 'internal') return null
  return client.protocol === 'nbd' ? client.name : client.initiatorName
}

/** Tells clients of one gateway apart. */
export function clientKeyOf(client: ClientIdentity): string {
  if (client.protocol === 'internal') return client.protocol
  if (client.protocol === 'nbd') return `nbd ${client.name}`
  return `iscsi ${client.initiatorName} ${client.isid} ${client.targetPortalGroupTag}`
}

/** What another daemon says a client is, or null. */
export function asClientIdentity(value: unknown): ClientIdentity | null {
  if (typeof value !== 'object' || value === null) return null
  const { protocol, name, initiatorName, isid, targetPortalGroupTag } = value as Record<string, unknown>
  if (protocol === 'internal') return { protocol }
  if (protocol === 'nbd') return typeof name === 'string' ? { protocol, name } : null
  if (protocol !== 'iscsi' || typeof initiatorName !== 'string' || typeof isid !== 'string') return null
  if (typeof targetPortalGroupTag !== 'number') return null
  return { protocol, initiatorName, isid, targetPortalGroupTag }
}
