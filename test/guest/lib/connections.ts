import type { ConnectionProperties } from '../../../src/control/connection-properties.ts'
import type { Daemon } from '../../lib/daemon.ts'

const urlOf = (daemon: Daemon, volume: string): string => `${daemon.apiUrl}/v1/volumes/${volume}/connections`

/** POST /v1/volumes/{name}/connections. Throws with the problem when refused. */
export async function connectVolume(
  daemon: Daemon,
  volume: string,
  initiator: string,
): Promise<ConnectionProperties> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ initiator })
  const answer = await fetch(urlOf(daemon, volume), { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as ConnectionProperties
}

/** DELETE of the same. */
export async function disconnectVolume(daemon: Daemon, volume: string, initiator: string): Promise<void> {
  const url = `${urlOf(daemon, volume)}/${encodeURIComponent(initiator)}`
  const answer = await fetch(url, { method: 'DELETE' })
  if (!answer.ok) throw new Error(await answer.text())
}
