import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../../scripts/test.mjs', import.meta.url))

test('npm test: a part that does not exist is a usage error that names those that do', () => {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, '--only', 'nothing'], { encoding: 'utf8' })
  expect(status).toBe(2)
  expect(stderr).toMatch(/there is no part "nothing"[\s\S]*unit, crash, interop, suite/)
})
