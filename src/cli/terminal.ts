import type { Readable, Writable } from 'node:stream'

/** What a command sees of the world: tests bring their own. */
export interface Terminal {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Calls back at SIGINT, SIGTERM and SIGHUP; the answer ends that. */
  onStopSignal(listener: (signal: NodeJS.Signals) => void): () => void
}

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process
  return { stdin, stdout, stderr, environment: env, onStopSignal }
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function onStopSignal(listener: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of STOP_SIGNALS) process.on(signal, listener)
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, listener)
  }
}
