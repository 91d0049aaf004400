import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VOLUME_BYTES } from '../../servers/bench-server.ts'
import { exportByTgt, versionOf } from './exports.ts'
import type { SystemKind } from './system.ts'

/** What three replicas are to be no slower than: tgt over one file, nothing replicated. */
export const TGT_ALONE: SystemKind = {
  rival: 'tgt',
  servers: ['tgt-alone'],
  programs: ['tgtd', 'tgtadm'],
  packages: ['tgt'],
  async start(directory) {
    const file = join(directory, 'volume')
    await writeFile(file, '')
    await truncate(file, VOLUME_BYTES)
    const server = await exportByTgt(
      {
        name: 'tgt-alone',
        version: await versionOf('tgtd'),
        directory,
        settings: { replicas: 1, backingStore: 'rdwr', volumeBytes: VOLUME_BYTES },
        systemPids: () => [],
      },
      ['--bstype', 'rdwr', '-b', file],
    )
    return { servers: [server], [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  },
}
