import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
// @ts-expect-error scripts are plain JavaScript
import { ROOT, runQuiet } from '../../scripts/lib/run.mjs'

const BUGS = join(ROOT, 'test/crash/bugs')
const COPIED = ['src', 'test/unit/store', 'package.json', 'tsconfig.json', 'vitest.config.ts']
const DAY_MS = 86_400_000

const all = readdirSync(BUGS).map(file => basename(file, '.patch'))
/** Another one each day, or those that are named. */
const ASKED = process.env.HOLDFAST_CRASH_BUGS
const today = all[Math.floor(Date.now() / DAY_MS) % all.length]!
const chosen = ASKED === undefined ? [today] : ASKED === 'all' ? all : ASKED.split(',')

test.each(chosen)('seeded bug of the store: %s is found', async name => {
  const patch = join(BUGS, `${name}.patch`)
  const [, finder] = /^Found by: (\S+)$/m.exec(readFileSync(patch, 'utf8')) ?? []
  const root = mkdtempSync(join(tmpdir(), 'holdfast-bug-'))
  try {
    for (const path of COPIED) cpSync(join(ROOT, path), join(root, path), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
    const vitest = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', finder]
    expect(await runQuiet('patch', ['-p1', '-i', patch], { cwd: root })).toMatchObject({ code: 0 })
    const env = { ...process.env, NO_COLOR: '1' }
    const { output } = await runQuiet(process.execPath, vitest, { cwd: root, env })
    expect(output).toMatch(/Tests +\d+ failed/)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
