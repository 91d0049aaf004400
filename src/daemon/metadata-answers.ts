import { setTimeout as sleep } from 'node:timers/promises'
import { keys } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'

/** Machines that are switched on together come up in any order. Whoever started the daemon hears of it after this. */
const WAIT_MS_MAX = 60_000
const ASK_EVERY_MS = 1_000

export interface MetadataAnswersOptions {
  readonly metadata: Pick<MetadataStore, 'get'>
  readonly log: Log
  readonly waitMs?: number
  readonly askEveryMs?: number
}

/** Resolves when etcd answers; rejects with ERR_METADATA_UNAVAILABLE and its reason when it does not for a minute. */
export async function metadataAnswers(options: MetadataAnswersOptions): Promise<void> {
  const { metadata, log, waitMs = WAIT_MS_MAX, askEveryMs = ASK_EVERY_MS } = options
  const deadlineMs = performance.now() + waitMs
  for (let isFirst = true; ; isFirst = false) {
    try {
      await metadata.get(keys.cluster)
      return
    } catch (error) {
      const isAway = error instanceof HoldfastError && error.code === 'ERR_METADATA_UNAVAILABLE'
      if (!isAway || performance.now() >= deadlineMs) throw error
      if (isFirst) log.warn({ why: error.message, upToMs: waitMs }, 'waiting for the metadata')
      await sleep(askEveryMs)
    }
  }
}
