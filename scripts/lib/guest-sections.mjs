import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inParallel, ROOT, runQuiet } from './run.mjs'
import { runDirectory } from './test-run.mjs'
import { SUMMARY_VARIABLE } from './vitest-reporter.mjs'

const DIRECTORY = 'test/guest'
const SECTION_LIMIT_MS = 15 * 60_000
/** Much of a section is waiting, so that two guests on two cores are done sooner than one after the other. */
export const GUESTS_AT_ONCE = 2
/** Those that take longest go first, so that the last to end has not begun last. */
const LONG = ['kubelet', 'cinder', 'crash', 'multipath', 'file-systems']

/** The sections are the test files; `words` picks those whose names contain one of them, none picks all. */
export function guestSections(words = []) {
  const files = readdirSync(join(ROOT, DIRECTORY)).filter(name => name.endsWith('.test.ts'))
  const rank = name => {
    const at = LONG.findIndex(word => name.startsWith(word))
    return at === -1 ? LONG.length : at
  }
  return files
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .sort((a, b) => rank(a) - rank(b))
    .map(name => `${DIRECTORY}/${name}`)
}

/**
 * Runs sections, each in a network namespace and a vitest of its own, two at a time.
 * @param {{prefix: string[], env: Record<string, string>}} guest from provideGuest()
 * @param {string[]} files from guestSections()
 * @param {{limitMs?: number, ended?: (section: object) => void}} options for all; `ended` gets each as it ends
 * @returns {Promise<Awaited<ReturnType<typeof runGuestSection>>[]>}
 */
export function runGuestSections(
  guest,
  files,
  { limitMs = Number.POSITIVE_INFINITY, ended = () => {} } = {},
) {
  const deadline = Date.now() + limitMs
  return inParallel(files, GUESTS_AT_ONCE, async file => {
    const section = await runGuestSection(guest, file, { limitMs: deadline - Date.now() })
    ended(section)
    return section
  })
}

/**
 * Runs one section of a source tree that is built; a limit that has passed already fails it.
 * @returns {Promise<{file: string, seconds: number, code: number, summary: object | null, output: string}>}
 */
export async function runGuestSection(guest, file, { tree = ROOT, limitMs = SECTION_LIMIT_MS } = {}) {
  const scratch = runDirectory('guest-run')
  const summaryFile = join(scratch, 'summary.json')
  const began = performance.now()
  const vitest = [
    process.execPath,
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'vitest.guest.config.ts',
  ]
  const reporters = ['--reporter=verbose', '--reporter=./scripts/lib/vitest-reporter.mjs']
  const [program, ...args] = [...guest.prefix, ...vitest, ...reporters, file]
  try {
    const { code, output, timedOut } = await runQuiet(program, args, {
      timeoutMs: Math.max(1, Math.min(SECTION_LIMIT_MS, limitMs)),
      cwd: tree,
      env: { ...process.env, ...guest.env, [SUMMARY_VARIABLE]: summaryFile, NO_COLOR: '1' },
    })
    const seconds = (performance.now() - began) / 1000
    const hung = timedOut ? `\nhung: killed after ${seconds.toFixed(0)} s\n` : ''
    return {
      file,
      seconds,
      code: timedOut ? 1 : code,
      summary: readSummary(summaryFile),
      output: output + hung,
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function readSummary(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return null
  }
}

/** What `npm test` adds up: a section that ends badly without a failed test counts as one. */
export function addUpSections(sections) {
  const total = { passed: 0, failed: 0, skipped: [], passedNames: [] }
  for (const { summary, code } of sections) {
    total.passed += summary?.passed ?? 0
    total.failed += code === 0 ? 0 : Math.max(1, summary?.failed ?? 0)
    total.skipped.push(...(summary?.skipped ?? []))
    total.passedNames.push(...(summary?.passedNames ?? []))
  }
  return total
}
