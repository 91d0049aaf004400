import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const source = readFileSync(`${ROOT}/scripts/lib/parts.mjs`, 'utf8')

test('every vitest configuration is a part of npm test, and every part has one', () => {
  const files = readdirSync(ROOT).filter(name => /^vitest(\..+)?\.config\.ts$/.test(name))
  const parts = [...source.matchAll(/config: '(.+?)'/g)].map(match => match[1])
  expect(parts.toSorted()).toEqual(files.toSorted())
})
