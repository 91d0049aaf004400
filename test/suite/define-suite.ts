import { afterAll, beforeAll, describe, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { freePort } from '../lib/free-port.ts'
import { holdfastDone } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'
import { type BlockSize, findExpected } from './expected.ts'
import { listSuiteTests, runSuiteTest } from './iscsi-test-cu.ts'
import { UNITS, type UnitName, unitsOf } from './units.ts'

const SIZE = '128MiB'
/** The suite wants to see an overwrite under way after three seconds and a reconnect: this one lasts eight. */
const SANITIZE_BANDWIDTH = '16MiB'

const FLAGS_OF: Readonly<Record<UnitName, readonly string[]>> = {
  fixed: [],
  'read-only': ['--read-only'],
  removable: ['--removable'],
}

/**
 * One vitest test for each test of iscsi-test-cu on each unit that it is for, one after the other, through two
 * portals of one daemon.
 */
export async function defineSuite(blockSize: BlockSize): Promise<void> {
  const names = await listSuiteTests()
  let directory: TemporaryDirectory
  let daemon: Daemon

  beforeAll(async () => {
    directory = temporaryDirectory('suite')
    const iscsi = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
    const flags = ['--no-demo', '--store-sanitize-bandwidth', SANITIZE_BANDWIDTH]
    daemon = await Daemon.start({ directory: directory.path, iscsi, arguments: flags })
    for (const unit of UNITS) {
      const options = ['--block-size', blockSize, ...FLAGS_OF[unit]]
      await holdfastDone(daemon, 'volume', 'create', unit, SIZE, ...options)
    }
  })
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  for (const unit of UNITS) {
    describe(`${blockSize}-byte blocks, ${unit}`, () => {
      for (const name of names.filter(one => unitsOf(one).includes(unit))) {
        test(name, async context => {
          const urls = [0, 1].map(portal => daemon.url(unit, { portal }))
          const { state, message, output } = await runSuiteTest(name, urls)
          const expected = findExpected(name, blockSize)
          if (expected !== undefined && state === expected.state)
            context.skip(`${expected.reason} (${message})`)
          if (expected !== undefined && state === 'passed')
            throw new Error(`${name} passes: take it off test/suite/expected.ts`)
          if (state !== 'passed') throw new Error(`${state}: ${message}\n${output}\n${daemon.logTail()}`)
        })
      }
    })
  }
}
