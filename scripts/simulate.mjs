import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT, runVisible } from './lib/run.mjs'
import { bugNames, huntBug, runSeeds, SEEDS_PER_BUG, Totals } from './lib/simulation.mjs'

/** What seeds have or have not. */
const SWITCHES = JSON.parse(readFileSync(join(ROOT, 'test/simulation/cluster/switches.json'), 'utf8'))
const USAGE = `npm run simulate -- [--seed N [--trace]] [--seeds FROM-TO] [--bugs all|A,B]
  --seed N         one seed, exactly as it always runs; --trace prints everything that happens
  --seeds FROM-TO  many, on every core
  --faults A,B     only these kinds of faults
  --minimum M      1 or 2 replicas are enough to go on, instead of as the seed decides
${usageOfSwitches()}
  --model NAME     replicated (default), or single-owner: what the checker itself is tried on
  --bugs A,B       seeded bugs, or all of them: each must be found within ${SEEDS_PER_BUG} seeds
  --jobs N         processes at a time`

function usageOfSwitches() {
  const lines = Object.entries(SWITCHES).map(
    ([name, { what, chance }]) =>
      `${`  --${name} WHEN`.padEnd(22)} ${what}; in ${Math.round(chance * 100)} % of the seeds`,
  )
  return ['  always or never, instead of as the seed decides:', ...lines].join('\n')
}

/** `always` and `never` alone mean anything. */
function refuseOtherWords(values) {
  for (const name of Object.keys(SWITCHES)) {
    if (values[name] === undefined || ['always', 'never'].includes(values[name])) continue
    throw new Error(`--${name} is always or never, not '${values[name]}'`)
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        trace: { type: 'boolean', default: false },
        faults: { type: 'string' },
        minimum: { type: 'string' },
        ...Object.fromEntries(Object.keys(SWITCHES).map(name => [name, { type: 'string' }])),
        model: { type: 'string', default: 'replicated' },
        bugs: { type: 'string' },
        jobs: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    refuseOtherWords(values)
    return values
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`)
    process.exit(2)
  }
}

function sayFailure({ seed, message }, args) {
  const replay = `npm run simulate -- --seed ${seed} --trace ${args.join(' ')}`
  console.log(`seed ${seed} FAILED  ${message}\n  replay: ${replay}`)
}

async function runMany(from, to, args, jobs) {
  const totals = new Totals()
  const seeds = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  await runSeeds({
    seeds,
    args,
    jobs,
    each: result => {
      totals.add(result)
      if (result.violation !== null) sayFailure({ seed: result.seed, ...result.violation }, args)
      return true
    },
  })
  totals.print(console.log)
  return totals.failures.length === 0 ? 0 : 1
}

async function runBugs(names, args, jobs) {
  const rows = []
  for (const name of names) {
    const { found, tried } = await huntBug(name, { args, jobs })
    const how =
      found === null ? `NOT FOUND in ${tried} seeds` : `seed ${found.seed}: ${found.message.split('\n')[0]}`
    console.log(`${name}: ${how}`)
    rows.push({ name, found, tried })
  }
  console.log('\n| bug | seeds tried | found as |\n|---|---|---|')
  for (const { name, found, tried } of rows)
    console.log(`| ${name.replaceAll('-', ' ')} | ${tried} | ${found?.rule ?? '**not found**'} |`)
  return rows.every(({ found }) => found !== null) ? 0 : 1
}

/** Refuses what is no number: zero seeds would look like success. */
function seedRange({ seed, seeds }) {
  const text = seeds ?? (seed === undefined ? '1-100' : `${seed}-${seed}`)
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? []
  if (from !== undefined && Number(from) <= Number(to)) return [Number(from), Number(to)]
  console.error(`'${seeds ?? seed}' is no ${seeds === undefined ? 'seed' : 'FROM-TO'}\n${USAGE}`)
  process.exit(2)
}

const options = readOptions()
const [from, to] = seedRange(options)
const jobs = options.jobs === undefined ? undefined : Number(options.jobs)
const args = ['--model', options.model]
for (const name of ['faults', 'minimum', ...Object.keys(SWITCHES)])
  if (options[name] !== undefined) args.push(`--${name}`, options[name])
if (options.bugs !== undefined) {
  process.exitCode = await runBugs(options.bugs === 'all' ? bugNames() : options.bugs.split(','), args, jobs)
} else if (options.seed !== undefined && options.trace) {
  const file = join(ROOT, 'test/simulation/worker.ts')
  const seed = ['--seed', options.seed, '--trace']
  process.exitCode = await runVisible(process.execPath, ['--import', 'tsx', file, ...args, ...seed])
} else {
  process.exitCode = await runMany(from, to, args, jobs)
}
