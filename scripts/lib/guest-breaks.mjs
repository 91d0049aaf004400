import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { missingChecks } from './guest-part.mjs'
import { GUESTS_AT_ONCE, guestSections, runGuestSection } from './guest-sections.mjs'
import { inParallel, ROOT, runQuiet } from './run.mjs'
import { runDirectory } from './test-run.mjs'

const PATCHES = join(ROOT, 'test/guest/break')
const STEP_TIMEOUT_MS = 10 * 60_000
const WHY_CHARS_MAX = 160
/** The files of the tree as they are, not as they were committed, and nothing that git ignores. */
const COPY_TREE =
  'git ls-files -z --cached --others --exclude-standard --exclude=node_modules | tar -c --null -T - | tar -x -C "$1"'

/** A patch begins with `section: WORD`, `breaks: WHAT` and a line `red: CHECK` for each check that must find it. */
function readBreak(name) {
  const text = readFileSync(join(PATCHES, name), 'utf8')
  const fields = key => [...text.matchAll(new RegExp(`^${key}: (.*)$`, 'gm'))].map(match => match[1])
  const [file] = guestSections([fields('section')[0]])
  return { name, file, breaks: fields('breaks')[0], red: fields('red').map(check => `${file} > ${check}`) }
}

async function done(what, file, args, cwd = ROOT) {
  const { code, output } = await runQuiet(file, args, { timeoutMs: STEP_TIMEOUT_MS, cwd })
  if (code !== 0) throw new Error(`${what}: ${output.trim().split('\n').slice(-5).join('\n')}`)
}

/** A copy of the tree in a directory of its own, spoilt and built; `use` runs in it. */
async function withBroken(patch, use) {
  const scratch = runDirectory('break')
  const tree = join(scratch, 'tree')
  try {
    mkdirSync(tree)
    await done('no copy', 'sh', ['-c', COPY_TREE, 'sh', tree])
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
    // What surrounds the line that it breaks may have changed.
    await done('the patch does not apply', 'git', ['apply', '-C0', join(PATCHES, patch.name)], tree)
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await done('it does not build', process.execPath, [tsc, '-p', 'tsconfig.build.json'], tree)
    return await use(tree)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/**
 * Of each check that ran and failed, why; in a tree elsewhere the reporter names files from there. What fails because
 * the section never began, such as with a guest that does not boot, has found nothing.
 */
function failuresOf({ failedNames, failedBecause }) {
  const named = name => name.slice(name.indexOf('test/guest/'))
  const first = text => stripVTControlCharacters(text).trim().replaceAll(/\s+/g, ' ').slice(0, WHY_CHARS_MAX)
  const failures = failedNames.map((name, at) => [named(name), failedBecause[at]])
  return new Map(failures.flatMap(([name, why]) => (why === null ? [] : [[name, first(why)]])))
}

async function runBreak(guest, patch) {
  try {
    const { summary, seconds, output } = await withBroken(patch, tree =>
      runGuestSection(guest, patch.file, { tree }),
    )
    if (summary === null) throw new Error(`no summary: ${output}`)
    return { patch, seconds, failures: failuresOf(summary), passed: summary.passed, problem: null }
  } catch (error) {
    return { patch, seconds: 0, failures: new Map(), passed: 0, problem: error.message }
  }
}

const greenOf = ({ patch, failures }) => patch.red.filter(name => !failures.has(name))
const checkOf = name => name.slice(name.indexOf(' > ') + 3)

function report(result) {
  const { patch, seconds, failures, passed, problem } = result
  const green = greenOf(result)
  console.log(`\n${patch.name}: ${patch.breaks}`)
  if (problem !== null) console.log(`  did not run: ${problem}`)
  for (const [name, why] of failures)
    console.log(`  red    ${checkOf(name)}${patch.red.includes(name) ? '' : ' (too)'}\n           ${why}`)
  for (const name of green) console.log(`  GREEN  ${checkOf(name)}, though broken`)
  console.log(
    `  ${patch.red.length - green.length} of ${patch.red.length} found it, ${passed} stayed green, ${seconds.toFixed(0)} s`,
  )
}

/** One line per check and per patch that it has to find, as Markdown; by section, in the order of their names. */
function table(results) {
  const lines = results.flatMap(result =>
    result.patch.red.map(name => [name, result.patch.name, result.failures.has(name) ? 'yes' : '**no**']),
  )
  const sections = [...new Set(lines.map(([name]) => name.slice(0, name.indexOf(' > '))))].sort()
  return sections.flatMap(file => [
    `\n${file}\n\n| check | patch | red |\n|---|---|---|`,
    ...lines
      .filter(([name]) => name.startsWith(file))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(
        ([name, patch, red]) =>
          `| ${checkOf(name).replaceAll('|', '\\|')} | ${patch.replace('.patch', '')} | ${red} |`,
      ),
  ])
}

/**
 * Breaks the product with each patch, runs its section on that, and prints which checks turned red and why.
 * @param {object} guest from provideGuest()
 * @param {string[]} words parts of the patches' names; none is all of them, and then no named check may be missing
 * @returns {Promise<number>} exit code
 */
export async function runBreaks(guest, words) {
  const patches = readdirSync(PATCHES)
    .sort()
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .map(readBreak)
  const results = await inParallel(patches, GUESTS_AT_ONCE, async patch => {
    const result = await runBreak(guest, patch)
    report(result)
    return result
  })
  for (const line of table(results)) console.log(line)
  const red = new Set(results.flatMap(({ patch, failures }) => patch.red.filter(name => failures.has(name))))
  const missing = words.length === 0 ? missingChecks([...red]) : []
  for (const name of missing) console.log(`named check that nothing turned red: ${name}`)
  console.log(`\n${red.size} checks were red, ${missing.length} never`)
  const isFound = results.every(result => greenOf(result).length === 0 && result.problem === null)
  return isFound && missing.length === 0 ? 0 : 1
}
