import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../../test/lib/free-port.ts'
import { processTree } from '../machine.ts'
import { versionOf } from '../programs.ts'
import { VOLUME_BYTES } from './bench-server.ts'
import { makeVolumeFile } from './file-server.ts'
import type { ServerKind } from './server-kind.ts'

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

async function createVolume(controlPort: string, backing: readonly string[]): Promise<void> {
  const unit = ['--mode', 'logicalunit', '--tid', '1', '--lun', '1']
  await administer(controlPort, '--op', 'new', '--mode', 'target', '--tid', '1', '-T', TARGET)
  await administer(controlPort, '--op', 'new', ...unit, ...backing)
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

export interface TgtdOptions {
  /** For its log. */
  readonly directory: string
  /** What the command line begins with. */
  readonly prefix: readonly string[]
  /** tgtadm's options that say what is behind the unit. */
  readonly backing: readonly string[]
}

export interface Tgtd {
  readonly argv: readonly string[]
  readonly url: string
  readonly pid: number
  readonly stop: () => Promise<void>
}

/** Debian's tgtd with its default settings and one unit. */
export async function startTgtd({ directory, prefix, backing }: TgtdOptions): Promise<Tgtd> {
  const portal = `127.0.0.1:${await freePort()}`
  const controlPort = String(CONTROL_PORT_MIN + Math.floor(Math.random() * CONTROL_PORT_COUNT))
  const argv = ['tgtd', '-f', '-C', controlPort, '--iscsi', `portal=${portal}`]
  const logPath = join(directory, 'tgtd.log')
  const log = openSync(logPath, 'a')
  const [program, ...rest] = [...prefix, ...argv]
  const child = spawn(program as string, rest, { stdio: ['ignore', log, log] })
  closeSync(log)
  const exited = once(child, 'exit')
  // tgtd ignores SIGTERM while it has targets.
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  try {
    await waitForControl(child, controlPort, logPath)
    await createVolume(controlPort, backing)
  } catch (error) {
    await stop()
    throw error
  }
  return { argv, url: `iscsi://${portal}/${TARGET}/1`, pid: child.pid as number, stop }
}

/** Debian's tgtd over a file: backing store rdwr, 16 I/O threads per unit. */
export const TGT: ServerKind = {
  name: 'tgt',
  programs: ['tgtd', 'tgtadm'],
  packages: ['tgt'],
  async start({ directory, cpu }) {
    const file = makeVolumeFile(directory)
    const prefix = ['taskset', '-c', String(cpu)]
    const tgtd = await startTgtd({ directory, prefix, backing: ['--bstype', 'rdwr', '-b', file] })
    return {
      name: 'tgt',
      version: versionOf('tgtd'),
      argv: tgtd.argv,
      settings: { backingStore: 'rdwr', writeCache: 'on', volumeBytes: VOLUME_BYTES },
      url: tgtd.url,
      get pids() {
        return processTree(tgtd.pid)
      },
      [Symbol.asyncDispose]: tgtd.stop,
    }
  },
}
