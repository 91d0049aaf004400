import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')
const patches = ['test/simulation/bugs', 'test/crash/bugs'].flatMap(directory =>
  readdirSync(join(ROOT, directory))
    .filter(file => file.endsWith('.patch'))
    .map(file => join(directory, file)),
)

test.each(patches)('seeded bug: %s says what it breaks, and applies to the sources as they are', patch => {
  const [header] = readFileSync(join(ROOT, patch), 'utf8').split('\n--- a/src/')
  expect(header).toMatch(/^[A-Z].*\.\n/s)
  const check = () => execFileSync('git', ['apply', '--check', patch], { cwd: ROOT, stdio: 'pipe' })
  expect(check).not.toThrow()
})
