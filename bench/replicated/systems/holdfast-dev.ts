import { Daemon } from '../../../test/lib/daemon.ts'
import { processTree } from '../../machine.ts'
import { holdfastServer } from './holdfast-serve.ts'
import type { SystemKind } from './system.ts'

/** Three peers in one process, with embedded metadata: what `npm start` shows. */
export const HOLDFAST_DEV: SystemKind = {
  rival: null,
  servers: ['holdfast-dev'],
  programs: [],
  packages: [],
  async start(directory) {
    const daemon = await Daemon.start({ directory, arguments: ['--peers', '3'] })
    const argv = ['holdfast', 'dev', '--peers', '3']
    const settings = { peers: 3, replicas: 3, metadata: 'embedded' }
    const server = holdfastServer('holdfast-dev', daemon.url('demo'), argv, settings, () =>
      processTree(daemon.pid),
    )
    return { servers: [server], [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() }
  },
}
