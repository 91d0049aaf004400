import { EventSource } from '../control/events.ts'
import { encodeValue, keys } from '../control/layout.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { TellEvent } from '../replication/replication.ts'

/** At most so many wait for a metadata store that is away; the log has them all. */
const WAITING_MAX = 100
const RETRY_MS = 2000

/** Enters what replication tells into the event log of the cluster, in its own time, and into the daemon's at once. */
export function eventTeller(metadata: MetadataStore, peerId: string, log: Log): TellEvent {
  // Another source of the same peer makes ids of its own.
  const source = new EventSource(Date.now, `${peerId}.replication`)
  const waiting: { key: string; value: Buffer }[] = []
  let isSending = false
  const send = async () => {
    isSending = true
    for (let event = waiting[0]; event !== undefined; event = waiting[0]) {
      try {
        await metadata.transact({ compare: [], success: [{ do: 'put', ...event }] })
        waiting.shift()
      } catch {
        await new Promise(resolve => setTimeout(resolve, RETRY_MS).unref())
      }
    }
    isSending = false
  }
  return (kind, subject, message) => {
    log.info({ kind, subject, says: message }, 'event')
    const { id, value } = source.next(kind, subject, message)
    waiting.push({ key: keys.event(id), value: encodeValue('event', value) })
    if (waiting.length > WAITING_MAX) waiting.shift()
    if (!isSending) void send()
  }
}
