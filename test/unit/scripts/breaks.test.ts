import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const BREAKS = `${ROOT}/test/guest/break`
const sections = readdirSync(`${ROOT}/test/guest`).filter(name => name.endsWith('.test.ts'))
const checks = readFileSync(`${ROOT}/test/guest/named-checks.txt`, 'utf8').split('\n').filter(Boolean)
const fields = (text: string, key: string): string[] =>
  [...text.matchAll(new RegExp(`^${key}: (.*)$`, 'gm'))].map(match => match[1]!)
const patches = readdirSync(BREAKS).map(name => {
  const text = readFileSync(`${BREAKS}/${name}`, 'utf8')
  const section = sections.find(file => file.includes(fields(text, 'section')[0]!))
  const red = fields(text, 'red').map(check => `test/guest/${section} > ${check}`)
  return { name, text, red }
})

test('breaks: each named check of the guest tests is turned red by one at least', () => {
  const claimed = new Set(patches.flatMap(({ red }) => red))
  expect(checks.filter(check => !claimed.has(check))).toEqual([])
})

describe.each(patches)('break $name', ({ name, text, red }) => {
  test('says what it breaks, and which named checks of its section must find it', () => {
    expect(fields(text, 'breaks')).toHaveLength(1)
    expect(red).not.toEqual([])
    expect(checks).toEqual(expect.arrayContaining(red))
  })

  test('applies to the product as it is', () => {
    const { stderr } = spawnSync('git', ['apply', '--check', '-C0', `${BREAKS}/${name}`], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
  })
})
