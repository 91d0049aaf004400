import { freePort } from '../lib/free-port.ts'
import { holdfastDone } from '../lib/programs.ts'
import { defineSuite } from './define-suite.ts'

await defineSuite({
  name: '4096-byte blocks',
  portals: async () => [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`],
  prepare: async daemon => {
    await holdfastDone(daemon, 'volume', 'create', 'large-blocks', '128MiB', '--block-size', '4096')
    return 'large-blocks'
  },
})
