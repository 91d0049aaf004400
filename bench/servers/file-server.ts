import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ServerPlace, VOLUME_BYTES } from './bench-server.ts'

const START_ATTEMPTS = 50
const START_POLL_MS = 100

/** A sparse file of the volume's size. */
export function makeVolumeFile(directory: string): string {
  const file = join(directory, 'volume')
  writeFileSync(file, '')
  truncateSync(file, VOLUME_BYTES)
  return file
}

/** A program on the servers' CPU, its output in a file `log`, once it listens on 127.0.0.1:`port`. */
export async function startListening(
  { directory, cpu }: ServerPlace,
  argv: readonly string[],
  port: number,
): Promise<ChildProcess> {
  const logPath = join(directory, 'log')
  const log = openSync(logPath, 'a')
  const child = spawn('taskset', ['-c', String(cpu), ...argv], { stdio: ['ignore', log, log] })
  closeSync(log)
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (await listens(port)) return child
    await sleep(START_POLL_MS)
  }
  child.kill('SIGKILL')
  throw new Error(`${argv.join(' ')} did not come up: ${readFileSync(logPath, 'utf8').trim()}`)
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const up = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return up
}

/** Kills; one that has ended by itself is fine. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
