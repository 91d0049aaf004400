import type { Catalogue } from '../control/catalogue.ts'
import { EVENTS_KEPT, EventSource, keepEventsWithinBound } from '../control/events.ts'
import { encodeValue, keys } from '../control/layout.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore, Operation } from '../metadata/metadata-store.ts'
import type { TellEvent } from '../replication/replication.ts'

/** At most so many wait for a metadata store that is away; the log has them all. */
const WAITING_MAX = EVENTS_KEPT
/** Entered together. What a thousand volumes tell at once must not delay the changes that it tells of. */
const AT_ONCE_MAX = 100
const GATHER_MS = 100
const RETRY_MS = 2000

/** Enters what replication tells into the event log of the cluster, in its own time, and into the daemon's at once. */
export function eventTeller(
  metadata: MetadataStore,
  catalogue: Pick<Catalogue, 'model' | 'reached'>,
  peerId: string,
  log: Log,
): TellEvent {
  // Another source of the same peer makes ids of its own.
  const source = new EventSource(Date.now, `${peerId}.replication`)
  const waiting: Operation[] = []
  let isSending = false
  const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms).unref())
  const send = async () => {
    isSending = true
    await pause(GATHER_MS)
    while (waiting.length > 0) {
      const success = waiting.splice(0, AT_ONCE_MAX)
      try {
        await metadata.transact({ compare: [], success })
      } catch {
        waiting.unshift(...success)
        await pause(RETRY_MS)
      }
      // What is left over goes with the next ones.
      await keepEventsWithinBound(metadata, catalogue).catch(() => {})
    }
    isSending = false
  }
  return (kind, subject, message) => {
    log.info({ kind, subject, says: message }, 'event')
    const { id, value } = source.next(kind, subject, message)
    waiting.push({ do: 'put', key: keys.event(id), value: encodeValue('event', value) })
    if (waiting.length > WAITING_MAX) waiting.shift()
    if (!isSending) void send()
  }
}
