import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32cImplementation } from '../../src/lib/crc32c.ts'
import { Daemon } from '../../test/lib/daemon.ts'
import { freePort } from '../../test/lib/free-port.ts'
import { processTree } from '../machine.ts'
import { type BenchServer, type ServerPlace, VOLUME_BYTES } from '../servers/bench-server.ts'

const START_ATTEMPTS = 50
const START_POLL_MS = 100
/** nbd-server goes into the background and says here which process it is. */
const PID_FILE = 'pid'

/** `holdfast dev` as it comes, over NBD: checksums on, the volume `demo` of a new data directory. */
async function startHoldfast(place: ServerPlace): Promise<BenchServer> {
  const daemon = await Daemon.start({ directory: place.directory, cpu: place.cpu })
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return {
    name: 'holdfast',
    version: manifest.version,
    argv: ['holdfast', 'dev'],
    settings: {
      configuration: 'default',
      checksums: `CRC32C by ${crc32cImplementation}`,
      volumeBytes: VOLUME_BYTES,
    },
    url: `nbd://${daemon.nbd}/demo`,
    get pids() {
      return processTree(daemon.pid)
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  }
}

type Command = (file: string, port: number, directory: string) => readonly string[]

const nbdkit: Command = (file, port) => ['nbdkit', '-f', '-i', '127.0.0.1', '-p', String(port), 'file', file]

const qemuNbd: Command = (file, port) => [
  ...['qemu-nbd', '-f', 'raw', '--persistent', '--shared=16', '--cache=writeback'],
  ...['-b', '127.0.0.1', '-p', String(port), file],
]

const nbdServer: Command = (file, port, directory) => {
  const configuration = join(directory, 'nbd-server.conf')
  const options = ['flush=true', 'fua=true', 'trim=true']
  const general = ['[generic]', 'listenaddr=127.0.0.1', `port=${port}`]
  writeFileSync(configuration, `${[...general, '[bench]', `exportname=${file}`, ...options].join('\n')}\n`)
  return ['nbd-server', '-C', configuration, '-p', join(directory, PID_FILE)]
}

/** A server of others over a file, with what Debian's package does by default. */
function startOther(name: string, exportName: string, command: Command) {
  return async (place: ServerPlace): Promise<BenchServer> => {
    const file = join(place.directory, 'volume')
    writeFileSync(file, '')
    truncateSync(file, VOLUME_BYTES)
    const port = await freePort()
    const argv = command(file, port, place.directory)
    const log = openSync(join(place.directory, 'log'), 'a')
    const child = spawn('taskset', ['-c', String(place.cpu), ...argv], { stdio: ['ignore', log, log] })
    closeSync(log)
    const pidFile = join(place.directory, PID_FILE)
    const pid = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : (child.pid as number))
    const stop = async () => {
      for (const each of processTree(pid())) kill(each)
    }
    await listening(argv, port).catch(async error => {
      await stop()
      throw error
    })
    return {
      name,
      version: versionOf(argv[0] as string),
      argv,
      settings: { volumeBytes: VOLUME_BYTES },
      url: `nbd://127.0.0.1:${port}/${exportName}`,
      get pids() {
        return processTree(pid())
      },
      [Symbol.asyncDispose]: stop,
    }
  }
}

/** One that has ended by itself is fine. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function listening(argv: readonly string[], port: number): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const up = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (up) return
    await sleep(START_POLL_MS)
  }
  throw new Error(`${argv.join(' ')} did not come up`)
}

function versionOf(program: string): string {
  try {
    const said = execFileSync(program, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return said.split('\n')[0] as string
  } catch {
    return 'unknown'
  }
}

export const NBD_STARTERS = {
  holdfast: startHoldfast,
  nbdkit: startOther('nbdkit', '', nbdkit),
  'qemu-nbd': startOther('qemu-nbd', '', qemuNbd),
  'nbd-server': startOther('nbd-server', 'bench', nbdServer),
} as const
