import type { Readable, Writable } from 'node:stream'

/** What a command sees of the world: tests bring their own. */
export interface Terminal {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Calls back at SIGINT and SIGTERM; the answer ends that. */
  onStopSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
}

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process
  // `holdfast … | head` closes our output early, which is no failure.
  stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  })
  return { stdin, stdout, stderr, environment: env, onStopSignal }
}

function onStopSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void {
  const interrupted = (): void => listener('SIGINT')
  const terminated = (): void => listener('SIGTERM')
  process.on('SIGINT', interrupted)
  process.on('SIGTERM', terminated)
  return () => {
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', terminated)
  }
}
