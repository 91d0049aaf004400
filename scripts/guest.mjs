import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingChecks, provideGuest } from './lib/guest-part.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { runVisible } from './lib/run.mjs'
import { SUMMARY_VARIABLE } from './lib/vitest-reporter.mjs'

// `npm run test:guest [-- SECTION…]`: the guest tests alone, everything visible; a section is a part of a file's name.
const sections = process.argv.slice(2)
const CONFIG = 'test/guest/vitest.config.ts'

async function main() {
  const guest = await provideGuest()
  if (guest.reason !== null) {
    console.log(`skipped guest: ${guest.reason}`)
    return 0
  }
  await provideNodeModules()
  await build()
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-guest-run-'))
  const summary = join(scratch, 'summary.json')
  const reporters = ['--reporter=verbose', '--reporter=./scripts/lib/vitest-reporter.mjs']
  const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--config', CONFIG]
  const [program, ...args] = [...guest.prefix, ...vitest, ...reporters, ...sections]
  try {
    const env = { ...process.env, ...guest.env, [SUMMARY_VARIABLE]: summary }
    const code = await runVisible(program, args, { env })
    if (!existsSync(summary)) return 1
    const { passedNames, modules } = JSON.parse(readFileSync(summary, 'utf8'))
    for (const { file, seconds } of modules) console.log(`${seconds.toFixed(0).padStart(5)} s  ${file}`)
    const missing = sections.length === 0 ? missingChecks(passedNames) : []
    for (const name of missing) console.log(`named check that did not pass: ${name}`)
    return code !== 0 || missing.length > 0 ? 1 : 0
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

process.exitCode = await main()
