import { afterAll, beforeAll, describe, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'
import { findExpected, type UnitName } from './expected.ts'
import { listSuiteTests, runSuiteTest } from './iscsi-test-cu.ts'

export interface SuiteUnit {
  readonly name: UnitName
  /** Listening addresses; the suite uses up to two of them as paths to the unit. */
  readonly portals: () => Promise<readonly string[]>
  /** Creates the volume; returns the name of its target. */
  readonly prepare: (daemon: Daemon) => Promise<string>
  /** The suites that make sense on this unit; all when absent. */
  readonly only?: readonly string[]
}

/** One vitest test for each test of iscsi-test-cu, one after the other, against a daemon of their own. */
export async function defineSuite(unit: SuiteUnit): Promise<void> {
  const names = await listSuiteTests()
  const chosen = names.filter(
    name => unit.only === undefined || unit.only.includes(name.split('.')[1] as string),
  )
  let directory: TemporaryDirectory
  let daemon: Daemon
  let urls: readonly string[]

  describe(unit.name, () => {
    beforeAll(async () => {
      directory = temporaryDirectory('suite')
      const iscsi = await unit.portals()
      daemon = await Daemon.start({ directory: directory.path, iscsi, arguments: ['--no-demo'] })
      const target = await unit.prepare(daemon)
      urls = iscsi.map((_, portal) => daemon.url(target, { portal }))
    })
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]()
      directory[Symbol.dispose]()
    })

    for (const name of chosen) {
      test(name, async context => {
        const { state, message, output } = await runSuiteTest(name, urls)
        const expected = findExpected(name, unit.name)
        if (expected !== undefined && state === expected.state)
          context.skip(`${expected.reason} (${message})`)
        if (expected !== undefined && state === 'passed')
          throw new Error(`${name} passes: take it off test/suite/expected.ts`)
        if (state !== 'passed') throw new Error(`${state}: ${message}\n${output}\n${daemon.logTail()}`)
      })
    }
  })
}
