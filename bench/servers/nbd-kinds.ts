import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/lib/free-port.ts'
import { processTree } from '../machine.ts'
import { versionOf } from '../programs.ts'
import { VOLUME_BYTES } from './bench-server.ts'
import { killProcess, makeVolumeFile, startListening } from './file-server.ts'
import { holdfastOver } from './holdfast.ts'
import { limitOf } from './limit.ts'
import type { ServerKind } from './server-kind.ts'

/** nbd-server goes into the background and says here which process it is. */
const PID_FILE = 'pid'

interface FileServer {
  readonly program: string
  readonly packages: readonly string[]
  readonly exportName: string
  readonly command: (file: string, port: number, directory: string) => readonly string[]
}

const NBDKIT: FileServer = {
  program: 'nbdkit',
  packages: ['nbdkit'],
  exportName: '',
  command: (file, port) => ['nbdkit', '-f', '-i', '127.0.0.1', '-p', String(port), 'file', file],
}

const QEMU_NBD: FileServer = {
  program: 'qemu-nbd',
  packages: ['qemu-utils'],
  exportName: '',
  command: (file, port) => [
    ...['qemu-nbd', '-f', 'raw', '--persistent', '--shared=0', '--cache=writeback'],
    ...['-b', '127.0.0.1', '-p', String(port), file],
  ],
}

const QEMU_STORAGE_DAEMON: FileServer = {
  program: 'qemu-storage-daemon',
  packages: ['qemu-system-common'],
  exportName: 'bench',
  command: (file, port) => [
    ...['qemu-storage-daemon', '--blockdev', `driver=file,node-name=volume,filename=${file}`],
    ...['--nbd-server', `addr.type=inet,addr.host=127.0.0.1,addr.port=${port}`],
    ...['--export', 'type=nbd,id=bench,node-name=volume,name=bench,writable=on'],
  ],
}

const NBD_SERVER: FileServer = {
  program: 'nbd-server',
  packages: ['nbd-server'],
  exportName: 'bench',
  command: (file, port, directory) => {
    const configuration = join(directory, 'nbd-server.conf')
    const options = ['flush=true', 'fua=true', 'trim=true']
    const general = ['[generic]', 'listenaddr=127.0.0.1', `port=${port}`]
    writeFileSync(configuration, `${[...general, '[bench]', `exportname=${file}`, ...options].join('\n')}\n`)
    return ['nbd-server', '-C', configuration, '-p', join(directory, PID_FILE)]
  },
}

/** A server of others over a file, with what Debian's package does by default. */
function serverOf({ program, packages, exportName, command }: FileServer): ServerKind {
  return {
    name: program,
    programs: [program],
    packages,
    async start(place) {
      const port = await freePort()
      const argv = command(makeVolumeFile(place.directory), port, place.directory)
      const child = await startListening(place, argv, port)
      const pidFile = join(place.directory, PID_FILE)
      const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : (child.pid as number)
      return {
        name: program,
        version: versionOf(program),
        argv,
        settings: { volumeBytes: VOLUME_BYTES },
        url: `nbd://127.0.0.1:${port}/${exportName}`,
        get pids() {
          return processTree(pid)
        },
        async [Symbol.asyncDispose]() {
          for (const each of processTree(pid)) killProcess(each)
        },
      }
    },
  }
}

/** What `npm run bench:nbd` measures beside each other. */
export const NBD_KINDS: readonly ServerKind[] = [
  holdfastOver('nbd'),
  ...[NBDKIT, QEMU_NBD, QEMU_STORAGE_DAEMON, NBD_SERVER].map(serverOf),
  limitOf('nbd'),
]
