import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { provideDebianPackages } from './lib/debian-packages.mjs'
import { removeLeftovers } from './lib/leftovers.mjs'
import { PARTS } from './lib/parts.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { exitOnSignals, ROOT, runQuiet } from './lib/run.mjs'
import { provideSecondNode, SECOND_NODE_MAJOR } from './lib/second-node.mjs'
import { runDirectory } from './lib/test-run.mjs'
import { SUMMARY_VARIABLE } from './lib/vitest-reporter.mjs'

const USAGE = `npm test -- [--only PART]... [--second-node]
  --only PART     ${PARTS.map(part => part.name).join(', ')}; repeatable
  --second-node   also run unit and interop tests on Node ${SECOND_NODE_MAJOR} (always with CI=true)`
const IN_CI = process.env.CI === 'true'

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true, default: [] },
        'second-node': { type: 'boolean', default: IN_CI },
        help: { type: 'boolean', default: false },
      },
    })
    const unknown = values.only.find(name => !PARTS.some(part => part.name === name))
    if (unknown !== undefined) throw new Error(`there is no part "${unknown}"`)
    if (!values.help) return values
    console.log(USAGE)
    process.exit(0)
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`)
    process.exit(2)
  }
}

const failure = output => ({ passed: 0, failed: 1, skipped: [], output })
/** A whole part that cannot run here. In CI everything that can be had must be there. */
const unavailable = (what, reason, never = false) =>
  IN_CI && !never
    ? failure(`${what}: ${reason}`)
    : { passed: 0, failed: 0, skipped: [{ name: what, reason }], output: '' }

async function runVitest(part, node, scratch) {
  const summaryFile = join(scratch, `${part.name}-${node.label}.json`)
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=./scripts/lib/vitest-reporter.mjs']
  const { code, output, timedOut } = await runQuiet(
    node.binary,
    [vitest, 'run', '--config', part.config, ...reporters],
    { timeoutMs: part.limitMs, env: { ...process.env, [SUMMARY_VARIABLE]: summaryFile, NO_COLOR: '1' } },
  )
  if (timedOut) return failure(`${output}\nhung: killed after ${part.limitMs / 60_000} minutes`)
  try {
    const summary = JSON.parse(readFileSync(summaryFile, 'utf8'))
    // A run that reports no failure and still fails (a leaked handle, a crash at exit) is one.
    const failed = code !== 0 ? Math.max(1, summary.failed) : summary.failed
    return { ...summary, failed, output }
  } catch {
    return failure(`${output}\nvitest ended with ${code} without a summary`)
  }
}

async function runPart(part, node, scratch) {
  await provideDebianPackages(part.helpfulPackages ?? [])
  const { reason } = await provideDebianPackages(part.packages)
  if (reason !== null) return unavailable(part.name, reason)
  if (part.run === undefined) return runVitest(part, node, scratch)
  const result = await part.run(part.limitMs)
  return result.reason === undefined ? result : unavailable(part.name, result.reason, result.never)
}

function report(label, result, seconds) {
  const counts = `${result.passed} passed, ${result.failed} failed, ${result.skipped.length} skipped`
  if (result.failed > 0) console.log(result.output)
  for (const note of result.notes ?? []) console.log(note)
  console.log(`${result.failed > 0 ? 'FAILED ' : 'ok '}${label}: ${counts} (${seconds.toFixed(0)} s)`)
}

/** What is to be run: each part here, and those that mind the Node version there too. */
async function plan(options) {
  const isWanted = part => options.only.length === 0 || options.only.includes(part.name)
  const parts = PARTS.filter(isWanted)
  const here = { label: process.version, binary: process.execPath }
  const runs = parts.map(part => ({ label: part.name, run: scratch => runPart(part, here, scratch) }))
  const elsewhere = parts.filter(part => part.onSecondNode)
  if (!options['second-node'] || elsewhere.length === 0) return runs
  const second = await provideSecondNode()
  const there = { label: `node-${SECOND_NODE_MAJOR}`, binary: second.binary }
  for (const part of elsewhere) {
    const label = `${part.name} on Node ${SECOND_NODE_MAJOR}`
    const run = scratch =>
      second.binary === undefined ? unavailable(label, second.reason) : runPart(part, there, scratch)
    runs.push({ label, run })
  }
  return runs
}

async function main() {
  const options = readOptions()
  exitOnSignals()
  await removeLeftovers()
  const scratch = runDirectory('npm-test')
  const total = { passed: 0, failed: 0, skipped: [] }
  try {
    await provideNodeModules()
    await build()
    for (const { label, run } of await plan(options)) {
      const began = performance.now()
      const result = await run(scratch)
      report(label, result, (performance.now() - began) / 1000)
      total.passed += result.passed
      total.failed += result.failed
      total.skipped.push(...result.skipped.map(skip => ({ ...skip, label })))
    }
  } catch (error) {
    console.log(error.message)
    total.failed++
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  for (const { label, name, reason } of total.skipped)
    console.log(`skipped [${label}] ${name}: ${reason ?? 'no reason given'}`)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`)
  process.exitCode = total.failed > 0 ? 1 : 0
}

await main()
