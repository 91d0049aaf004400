import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT, runQuiet } from './run.mjs'

/** A seeded bug must be found within so many seeds. */
export const SEEDS_PER_BUG = 200
/** A seed that takes longer hangs: a second would do, on a machine with nothing else to do. */
const SEED_LIMIT_MS = 180_000
/** The result of a seed that hangs: what never lets the loop go on cannot tell of itself. */
const HUNG = {
  violation: { rule: 'I15', message: `I15: the seed did not end within ${SEED_LIMIT_MS / 1000} s` },
  tally: {},
  virtualMs: 0,
  events: 0,
}

/**
 * Runs seeds in worker processes, one per core; `each` gets every result as it comes and answers false to stop.
 * @param {{ root?: string, seeds: Iterable<number>, args?: string[], jobs?: number, each: (result: object) => boolean }} options
 */
export async function runSeeds({ root = ROOT, seeds, args = [], jobs = availableParallelism(), each }) {
  const waiting = seeds[Symbol.iterator]()
  let stopped = false
  const worker = () =>
    new Promise((resolve, reject) => {
      const file = join(root, 'test/simulation/worker.ts')
      const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], {
        cwd: root,
        stdio: ['pipe', 'pipe', 'pipe'],
      })
      let errors = ''
      let seed = null
      let timer
      let hung = false
      const next = () => {
        clearTimeout(timer)
        const { value, done } = stopped ? { done: true } : waiting.next()
        if (done) return child.stdin.end()
        seed = value
        timer = setTimeout(() => {
          hung = true
          child.kill('SIGKILL')
        }, SEED_LIMIT_MS)
        child.stdin.write(`${seed}\n`)
      }
      child.stderr.on('data', chunk => {
        errors += chunk
      })
      child.once('error', reject)
      child.once('close', code => {
        clearTimeout(timer)
        if (code === 0 || stopped) resolve()
        else if (hung) {
          if (!each({ seed, ...HUNG })) stopped = true
          resolve(worker())
        } else reject(new Error(`the worker ended (${code}) in seed ${seed}: ${errors.slice(-2000)}`))
      })
      createInterface({ input: child.stdout }).on('line', line => {
        if (!line.startsWith('{')) return
        if (!each(JSON.parse(line))) stopped = true
        next()
      })
      next()
    })
  await Promise.all(Array.from({ length: jobs }, worker))
}

/** Adds up what results counted. */
export class Totals {
  seeds = 0
  virtualMs = 0
  events = 0
  counts = {}
  failures = []

  add({ seed, violation, tally, virtualMs, events }) {
    this.seeds++
    this.virtualMs += virtualMs
    this.events += events
    for (const [kind, count] of Object.entries(tally)) this.counts[kind] = (this.counts[kind] ?? 0) + count
    if (violation !== null) this.failures.push({ seed, ...violation })
  }

  /** Those of `kinds` that never happened. */
  missing(kinds) {
    return kinds.filter(kind => !this.counts[kind])
  }

  print(log) {
    const hours = (this.virtualMs / 3_600_000).toFixed(1)
    log(`${this.seeds} seeds, ${hours} hours of virtual time, ${this.events} events`)
    for (const kind of Object.keys(this.counts).sort())
      log(`  ${String(this.counts[kind]).padStart(9)}  ${kind}`)
  }
}

export function bugNames() {
  return readdirSync(join(ROOT, 'test/simulation/bugs'))
    .filter(file => file.endsWith('.patch'))
    .map(file => basename(file, '.patch'))
    .sort()
}

/** A bug that shows only in some worlds says so above its patch: `Run with: --gateways always`. */
function argsOf(patch) {
  return /^Run with: (.+)$/m.exec(readFileSync(patch, 'utf8'))?.[1].split(' ') ?? []
}

/** Whether a seed finds nothing in the sources as they are: else it proves nothing about a seeded bug. */
async function holds(seed, args) {
  let good = false
  await runSeeds({ seeds: [seed], args, jobs: 1, each: ({ violation }) => (good = violation === null) })
  return good
}

/**
 * Applies one seeded bug to a copy of the sources and runs seeds until one finds it.
 * @returns {Promise<{ name: string, found: { seed: number, rule: string, message: string } | null, tried: number, timedOut: boolean }>}
 */
export async function huntBug(
  name,
  { from = 1, seeds = SEEDS_PER_BUG, args: asked = [], jobs, limitMs = Number.POSITIVE_INFINITY } = {},
) {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-bug-'))
  try {
    for (const path of ['src', 'test/simulation', 'package.json', 'tsconfig.json']) {
      cpSync(join(ROOT, path), join(root, path), { recursive: true })
    }
    symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
    const patch = join(ROOT, 'test/simulation/bugs', `${name}.patch`)
    const { code, output } = await runQuiet('patch', ['-p1', '--no-backup-if-mismatch', '-i', patch], {
      cwd: root,
    })
    const args = [...asked, ...argsOf(patch)]
    if (code !== 0) throw new Error(`bug ${name} does not apply any more:\n${output}`)
    let found = null
    let tried = 0
    let next = from
    const untilMs = Date.now() + limitMs
    const isLate = () => Date.now() > untilMs
    while (found === null && next < from + seeds && !isLate()) {
      const first = next
      const list = Array.from({ length: from + seeds - first }, (_, i) => first + i)
      let suspect = null
      await runSeeds({
        root,
        seeds: list,
        args,
        jobs,
        each: ({ seed, violation }) => {
          tried++
          next = Math.max(next, seed + 1)
          if (violation !== null) suspect ??= { seed, ...violation }
          return suspect === null && !isLate()
        },
      })
      if (suspect !== null && (await holds(suspect.seed, args))) found = suspect
    }
    return { name, found, tried, timedOut: isLate() }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
