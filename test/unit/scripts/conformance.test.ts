import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')
const text = readFileSync(join(ROOT, 'docs/reference/conformance.md'), 'utf8')
const rows = text.split('\n').filter(line => /^\| (?!section|-)/.test(line) || /^\| - \|/.test(line))

test('every requirement of docs/reference/conformance.md names tests that exist', () => {
  const named = rows.map(row => [...row.matchAll(/`([^`]+\.test\.ts)`/g)].map(([, path]) => path!))
  expect(rows.length).toBeGreaterThan(30)
  expect(rows.filter((_, index) => named[index]!.length === 0)).toEqual([])
  expect(named.flat().filter(path => !existsSync(join(ROOT, path)))).toEqual([])
})
