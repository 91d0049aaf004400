import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface ChildResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a TypeScript program of this directory to its end. `started` may kill it. */
export function runChild(
  program: string,
  parameters: readonly string[],
  env: NodeJS.ProcessEnv,
  started?: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<ChildResult> {
  const path = fileURLToPath(new URL(program, import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', path, ...parameters], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', chunk => {
      stdout += chunk
    })
    child.stderr.on('data', chunk => {
      stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    started?.(signal => void child.kill(signal))
  })
}
