import { expect, test } from 'vitest'
import { EXPECTED } from './expected.ts'
import { listSuiteTests } from './iscsi-test-cu.ts'
import { unitsOf } from './units.ts'

test('every listed exception names tests that exist', async () => {
  const names = await listSuiteTests()
  const isKnown = (entry: string) =>
    entry.endsWith('.*') ? names.some(name => name.startsWith(entry.slice(0, -1))) : names.includes(entry)
  expect(EXPECTED.map(entry => entry.test).filter(entry => !isKnown(entry))).toEqual([])
})

test('every test of the suite is run on some unit', async () => {
  const names = await listSuiteTests()
  expect(names.filter(name => unitsOf(name).length === 0)).toEqual([])
})
