import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { crc32cImplementation } from '../../src/lib/crc32c.ts'
import { Daemon } from '../../test/lib/daemon.ts'
import { processTree } from '../machine.ts'
import { VOLUME_BYTES } from './bench-server.ts'
import type { ServerKind } from './server-kind.ts'

export const HOLDFAST = 'holdfast'

/** `holdfast dev` as it comes: default configuration, checksums on, the volume `demo` of a new data directory. */
export function holdfastOver(protocol: 'iscsi' | 'nbd'): ServerKind {
  return {
    name: HOLDFAST,
    programs: [],
    packages: [],
    async start({ directory, cpu, holdfastArguments = [] }) {
      const daemon = await Daemon.start({ directory, cpu, arguments: holdfastArguments })
      const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
      return {
        name: HOLDFAST,
        version: manifest.version,
        argv: daemon.argv.map(argument =>
          argument.startsWith('/') ? relative(process.cwd(), argument) : argument,
        ),
        settings: {
          configuration: holdfastArguments.length === 0 ? 'default' : holdfastArguments.join(' '),
          checksums: `CRC32C by ${crc32cImplementation}`,
          volume: 'demo',
          volumeBytes: VOLUME_BYTES,
        },
        url: protocol === 'iscsi' ? daemon.url('demo') : `nbd://${daemon.nbd}/demo`,
        get pids() {
          return processTree(daemon.pid)
        },
        [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
      }
    },
  }
}
