import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GUESTS_AT_ONCE, guestSections, runGuestSection } from './guest-sections.mjs'
import { inParallel, ROOT, runQuiet } from './run.mjs'

const PATCHES = join(ROOT, 'test/guest/break')
const STEP_TIMEOUT_MS = 5 * 60_000

/** A patch begins with `section: WORD`, `breaks: WHAT` and a line `red: CHECK` for each check that must find it. */
function readPatch(name) {
  const text = readFileSync(join(PATCHES, name), 'utf8')
  const fields = key => [...text.matchAll(new RegExp(`^${key}: (.*)$`, 'gm'))].map(match => match[1])
  return { name, section: fields('section')[0], breaks: fields('breaks')[0], red: fields('red') }
}

async function done(what, file, args, cwd = ROOT) {
  const { code, output } = await runQuiet(file, args, { timeoutMs: STEP_TIMEOUT_MS, cwd })
  if (code !== 0) throw new Error(`${what}: ${output.trim().split('\n').slice(-5).join('\n')}`)
}

/** The last commit in a directory of its own, spoilt and built; `use` runs in it. */
async function withBroken(patch, use) {
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-break-'))
  const tree = join(scratch, 'tree')
  try {
    await done('no worktree', 'git', ['worktree', 'add', '--quiet', '--detach', tree, 'HEAD'])
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
    // What surrounds the line that it breaks may have changed.
    await done('the patch does not apply', 'git', ['apply', '-C0', join(PATCHES, patch.name)], tree)
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await done('it does not build', process.execPath, [tsc, '-p', 'tsconfig.build.json'], tree)
    return await use(tree)
  } finally {
    await runQuiet('git', ['worktree', 'remove', '--force', tree], { timeoutMs: STEP_TIMEOUT_MS })
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function runBreak(guest, patch) {
  const [file] = guestSections([patch.section])
  try {
    const { summary, seconds, output } = await withBroken(patch, tree =>
      runGuestSection(guest, file, { tree }),
    )
    if (summary === null) throw new Error(`no summary: ${output}`)
    const failed = summary.failedNames.map(name => name.slice(name.indexOf(' > ') + 3))
    const green = patch.red.filter(name => !failed.includes(name))
    return { patch, seconds, failed, green, passed: summary.passed, problem: null }
  } catch (error) {
    return { patch, seconds: 0, failed: [], green: patch.red, passed: 0, problem: error.message }
  }
}

function report({ patch, seconds, failed, green, passed, problem }) {
  const found = patch.red.length - green.length
  console.log(`\n${patch.name}: ${patch.breaks}`)
  if (problem !== null) console.log(`  did not run: ${problem}`)
  for (const name of failed) console.log(`  red    ${name}${patch.red.includes(name) ? '' : ' (too)'}`)
  for (const name of green) console.log(`  GREEN  ${name}, though broken`)
  console.log(`  ${found} of ${patch.red.length} found it, ${passed} stayed green, ${seconds.toFixed(0)} s`)
}

/** Breaks the product with each patch, runs its section on that, and prints which checks turned red. */
export async function runBreaks(guest, words) {
  const patches = readdirSync(PATCHES)
    .filter(
      name => name.endsWith('.patch') && (words.length === 0 || words.some(word => name.includes(word))),
    )
    .map(readPatch)
  const results = await inParallel(patches, GUESTS_AT_ONCE, async patch => {
    const result = await runBreak(guest, patch)
    report(result)
    return result
  })
  console.log('\n| section | broken | found by | green |\n|---|---|---|---|')
  for (const { patch, green, failed, passed } of results)
    console.log(
      `| ${patch.section} | ${patch.breaks} | ${failed.length} red, ${patch.red.length - green.length} of ${patch.red.length} named | ${passed} |`,
    )
  return results.every(({ green, problem }) => green.length === 0 && problem === null) ? 0 : 1
}
