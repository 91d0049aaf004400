import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, runQuiet } from './run.mjs'

const INSTALL_TIMEOUT_MS = 5 * 60_000
const BUILD_TIMEOUT_MS = 3 * 60_000

async function orExplain(what, file, args, timeoutMs) {
  const { code, output, timedOut } = await runQuiet(file, args, { timeoutMs })
  if (code === 0) return
  throw new Error(
    `${what} ${timedOut ? `took more than ${timeoutMs / 60_000} minutes` : 'failed'}\n${output}`,
  )
}

/** npm's packages, unless they are there. */
export async function provideNodeModules() {
  if (existsSync(join(ROOT, 'node_modules/.package-lock.json'))) return
  await orExplain('npm ci', 'npm', ['ci', '--no-audit', '--no-fund'], INSTALL_TIMEOUT_MS)
}

/** What `bin/holdfast` runs. */
export async function build() {
  await orExplain('npm run build', 'npm', ['run', '--silent', 'build'], BUILD_TIMEOUT_MS)
}
