import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../test/lib/free-port.ts'
import { processTree } from '../machine.ts'
import { type BenchServer, type ServerPlace, VOLUME_BYTES } from './bench-server.ts'

const run = promisify(execFile)
const TARGET = 'iqn.2026-11.io.holdfast.bench:tgt'
/** tgt names its control socket by a number; 0 is the system's own tgtd. */
const CONTROL_PORT_MIN = 1000
const CONTROL_PORT_COUNT = 30_000
const START_ATTEMPTS = 50
const START_POLL_MS = 100

async function administer(controlPort: string, ...args: string[]): Promise<void> {
  await run('tgtadm', ['-C', controlPort, '--lld', 'iscsi', ...args], { timeout: 10_000 })
}

async function createVolume(controlPort: string, file: string): Promise<void> {
  const unit = ['--mode', 'logicalunit', '--tid', '1', '--lun', '1']
  await administer(controlPort, '--op', 'new', '--mode', 'target', '--tid', '1', '-T', TARGET)
  await administer(controlPort, '--op', 'new', ...unit, '--bstype', 'rdwr', '-b', file)
  await administer(controlPort, '--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL')
}

async function waitForControl(child: ChildProcess, controlPort: string, logPath: string): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS && child.exitCode === null; attempt++) {
    const up = await administer(controlPort, '--op', 'show', '--mode', 'system').then(
      () => true,
      () => false,
    )
    if (up) return
    await sleep(START_POLL_MS)
  }
  throw new Error(`tgtd did not come up:\n${readFileSync(logPath, 'utf8')}`)
}

/** Debian's tgtd with its default settings: backing store rdwr, a file, 16 I/O threads per unit. */
export async function startTgt(place: ServerPlace): Promise<BenchServer> {
  const file = join(place.directory, 'volume')
  await writeFile(file, '')
  await truncate(file, VOLUME_BYTES)
  const portal = `127.0.0.1:${await freePort()}`
  const controlPort = String(CONTROL_PORT_MIN + Math.floor(Math.random() * CONTROL_PORT_COUNT))
  const argv = ['tgtd', '-f', '-C', controlPort, '--iscsi', `portal=${portal}`]
  const logPath = join(place.directory, 'tgtd.log')
  const log = openSync(logPath, 'a')
  const child = spawn('taskset', ['-c', String(place.cpu), ...argv], { stdio: ['ignore', log, log] })
  closeSync(log)
  const exited = once(child, 'exit')
  // tgtd ignores SIGTERM while it has targets.
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  try {
    await waitForControl(child, controlPort, logPath)
    await createVolume(controlPort, file)
  } catch (error) {
    await stop()
    throw error
  }
  const { stdout } = await run('tgtd', ['--version'])
  return {
    name: 'tgt',
    version: stdout.trim(),
    argv,
    settings: { backingStore: 'rdwr', writeCache: 'on', volumeBytes: VOLUME_BYTES },
    url: `iscsi://${portal}/${TARGET}/1`,
    get pids() {
      return processTree(child.pid as number)
    },
    [Symbol.asyncDispose]: stop,
  }
}
