import { freePort } from '../lib/free-port.ts'
import { holdfastDone } from '../lib/programs.ts'
import { defineSuite } from './define-suite.ts'

await defineSuite({
  name: 'read-only',
  portals: async () => [`127.0.0.1:${await freePort()}`],
  prepare: async daemon => {
    await holdfastDone(daemon, 'volume', 'create', 'protected', '64MiB', '--read-only')
    return 'protected'
  },
  only: [
    'ReadOnly',
    'TestUnitReady',
    'Mandatory',
    'ReadCapacity10',
    'ReadCapacity16',
    'Read6',
    'Read10',
    'Read16',
  ],
})
