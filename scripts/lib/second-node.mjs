import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, runQuiet } from './run.mjs'

/** Node's current LTS line in November 2026; the other one is what runs this script. */
export const SECOND_NODE_MAJOR = 26
const FETCH_TIMEOUT_MS = 3 * 60_000
const CACHE = join(ROOT, 'node_modules/.cache/second-node')
const BINARY = join(CACHE, 'node_modules/node/bin/node')

/**
 * A Node binary of the second version, from npm's package `node`.
 * @returns {Promise<{binary: string} | {reason: string}>}
 */
export async function provideSecondNode() {
  const answersVersion = async () => {
    if (!existsSync(BINARY)) return false
    const { code, output } = await runQuiet(BINARY, ['--version'], { timeoutMs: 10_000 })
    return code === 0 && output.startsWith(`v${SECOND_NODE_MAJOR}.`)
  }
  if (await answersVersion()) return { binary: BINARY }
  const args = [
    'install',
    '--prefix',
    CACHE,
    '--no-save',
    '--no-audit',
    '--no-fund',
    `node@${SECOND_NODE_MAJOR}`,
  ]
  const { output } = await runQuiet('npm', args, { timeoutMs: FETCH_TIMEOUT_MS })
  if (await answersVersion()) return { binary: BINARY }
  return {
    reason: `npm's package node@${SECOND_NODE_MAJOR} gives no working binary: ${output.trim().split('\n').at(-1)}`,
  }
}
