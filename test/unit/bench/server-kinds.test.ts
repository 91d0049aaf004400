import { expect, test } from 'vitest'
import { chooseKinds, missingFor, type ServerKind } from '../../../bench/servers/server-kind.ts'

function kind(name: string, programs: readonly string[]): ServerKind {
  const start = () => Promise.reject(new Error('is not started'))
  return { name, programs, packages: [`${name}-package`], start }
}

const KINDS = [kind('one', ['/nowhere/one', process.execPath]), kind('two', [process.execPath])]

test('servers: one whose program is missing is named, with how to install it', () => {
  expect(missingFor(KINDS[0]!)).toBe(
    'left out: one: /nowhere/one not found; as root: apt-get install one-package',
  )
  expect(missingFor(KINDS[1]!)).toBeNull()
})

test('servers: chosen by name in their own order, all of them when none is named', () => {
  expect(chooseKinds(KINDS, ['two', 'one']).map(({ name }) => name)).toEqual(['one', 'two'])
  expect(chooseKinds(KINDS, [])).toEqual(KINDS)
  expect(() => chooseKinds(KINDS, ['three'])).toThrow("there is no server 'three': one, two")
})
