import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = 'scrubbed.json'
const FORMAT = 'holdfast scrubbed 1'

/** Since when the bricks of a data directory wait for a scrub, over restarts of the daemon. */
export interface ScrubMemory {
  /** The end of the last whole one, or the first start. Milliseconds of the wall clock, never in the future. */
  readonly sinceMs: number
  keep(endedAtMs: number): Promise<void>
}

/** What cannot be read counts as never written: then the next scrub comes an interval from now. */
export async function openScrubMemory(directory: string, nowMs: number = Date.now()): Promise<ScrubMemory> {
  const path = join(directory, NAME)
  const keep = async (endedAtMs: number) => {
    const content = { format: FORMAT, at: new Date(endedAtMs).toISOString() }
    await writeFile(`${path}.new`, `${JSON.stringify(content)}\n`, { mode: 0o600 })
    await rename(`${path}.new`, path)
  }
  const before = timeOf(await readFile(path, 'utf8').catch(() => ''))
  // On a full disk the next start begins to count anew.
  if (before === null) await keep(nowMs).catch(() => {})
  return { sinceMs: Math.min(before ?? nowMs, nowMs), keep }
}

function timeOf(text: string): number | null {
  try {
    const { format, at } = JSON.parse(text) as { format?: unknown; at?: unknown }
    const atMs = format === FORMAT && typeof at === 'string' ? Date.parse(at) : Number.NaN
    return Number.isNaN(atMs) ? null : atMs
  } catch {
    return null
  }
}
