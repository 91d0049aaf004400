import { freePort } from '../lib/free-port.ts'
import { holdfastDone } from '../lib/programs.ts'
import { defineSuite } from './define-suite.ts'

await defineSuite({
  name: 'removable',
  portals: async () => [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`],
  prepare: async daemon => {
    await holdfastDone(daemon, 'volume', 'create', 'cartridge', '64MiB', '--removable')
    return 'cartridge'
  },
  only: ['NoMedia', 'PreventAllow', 'StartStopUnit', 'Inquiry', 'Mandatory', 'TestUnitReady'],
})
