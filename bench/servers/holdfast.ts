import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { crc32cImplementation } from '../../src/lib/crc32c.ts'
import { Daemon } from '../../test/lib/daemon.ts'
import { processTree } from '../machine.ts'
import { type BenchServer, type ServerPlace, VOLUME_BYTES } from './bench-server.ts'

/** `holdfast dev` as it comes: default configuration, checksums on, the volume `demo` of a new data directory. */
export async function startHoldfast(place: ServerPlace): Promise<BenchServer> {
  const daemon = await Daemon.start({ directory: place.directory, cpu: place.cpu })
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return {
    name: 'holdfast',
    version: manifest.version,
    argv: daemon.argv.map(argument =>
      argument.startsWith('/') ? relative(process.cwd(), argument) : argument,
    ),
    settings: {
      configuration: 'default',
      checksums: `CRC32C by ${crc32cImplementation}`,
      volume: 'demo',
      volumeBytes: VOLUME_BYTES,
    },
    url: daemon.url('demo'),
    get pids() {
      return processTree(daemon.pid)
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  }
}
