import { freePort } from '../../../test/lib/free-port.ts'
import { succeed } from '../../../test/lib/programs.ts'
import { processTree } from '../../machine.ts'
import type { BenchServer } from '../../servers/bench-server.ts'
import { startTgtd } from '../../servers/tgt.ts'
import { listening, ProgramGroup } from './program-group.ts'

/** A volume of a system, as tgt or qemu-nbd is told of it. */
export interface ExportOptions {
  readonly name: string
  readonly version: string
  readonly directory: string
  readonly settings: Readonly<Record<string, unknown>>
  /** What the command line begins with. */
  readonly prefix?: readonly string[]
  /** Of the system itself: they work for this server too. */
  readonly systemPids: () => readonly number[]
}

/** A volume over iSCSI, by tgtd. `backing` are tgtadm's options for the unit. */
export async function exportByTgt(options: ExportOptions, backing: readonly string[]): Promise<BenchServer> {
  const { name, version, directory, settings, systemPids } = options
  const tgtd = await startTgtd({ directory, prefix: options.prefix ?? [], backing })
  return {
    name,
    version,
    argv: tgtd.argv,
    settings: { ...settings, server: 'tgtd' },
    url: tgtd.url,
    get pids() {
      return [...systemPids(), ...processTree(tgtd.pid)]
    },
    [Symbol.asyncDispose]: tgtd.stop,
  }
}

/** A volume over NBD, by qemu-nbd, which keeps nothing in a cache of its own. */
export async function exportByQemuNbd(options: ExportOptions, image: string): Promise<BenchServer> {
  const { name, version, directory, settings, systemPids } = options
  const port = await freePort()
  const argv = [
    ...(options.prefix ?? []),
    ...['qemu-nbd', '-f', 'raw', '--persistent', '--shared=16', '--cache=none'],
    ...['-b', '127.0.0.1', '-p', String(port), image],
  ]
  const programs = new ProgramGroup(directory)
  const program = programs.start('qemu-nbd', argv)
  try {
    await programs.ready(`${name} listens`, program, () => listening('127.0.0.1', port))
  } catch (error) {
    await programs[Symbol.asyncDispose]()
    throw error
  }
  return {
    name,
    version,
    argv,
    settings: { ...settings, server: 'qemu-nbd', cache: 'none' },
    url: `nbd://127.0.0.1:${port}/`,
    get pids() {
      return [...systemPids(), ...programs.pids]
    },
    [Symbol.asyncDispose]: () => programs[Symbol.asyncDispose](),
  }
}

/** The first line that a program prints about its version. */
export async function versionOf(program: string): Promise<string> {
  const said = await succeed(program, ['--version'])
  return said.trim().split('\n')[0] as string
}
