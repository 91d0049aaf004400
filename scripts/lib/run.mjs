import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The top of the source tree. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a command with everything visible; resolves with its exit code. */
export function runVisible(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], ...options })
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal === null ? code : 1))
  })
}

/**
 * Runs a command and keeps its output. After `timeoutMs` its whole process group is killed and `timedOut` is set.
 * @returns {Promise<{code: number, output: string, timedOut: boolean}>}
 */
export function runQuiet(file, args, { timeoutMs, env = process.env, cwd = ROOT } = {}) {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what the command started ends with it.
    const child = spawn(file, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env, detached: true })
    const chunks = []
    let timedOut = false
    const endGroup = () => {
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch (error) {
        if (error.code !== 'ESRCH') throw error
      }
    }
    const onExit = () => endGroup()
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true
            endGroup()
          }, timeoutMs)
    process.once('exit', onExit)
    child.stdout.on('data', chunk => chunks.push(chunk))
    child.stderr.on('data', chunk => chunks.push(chunk))
    child.once('error', reject)
    child.once('close', code => {
      clearTimeout(timer)
      process.off('exit', onExit)
      resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString(), timedOut })
    })
  })
}

/** Has the signals that end this process end the groups of runQuiet with it: they get none from the terminal. */
export function exitOnSignals() {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
}

/** Calls `work` with each item, for at most `atOnce` of them at a time; resolves with the results as they came. */
export async function inParallel(items, atOnce, work) {
  const waiting = [...items]
  const results = []
  const worker = async () => {
    while (waiting.length > 0) results.push(await work(waiting.shift()))
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

/** Whether a program can be found. */
export function hasProgram(name) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { stdio: 'ignore' }).status === 0
}
