import { expect, test } from 'vitest'
// @ts-expect-error scripts are plain JavaScript
import { bugNames, huntBug, runSeeds, Totals } from '../../scripts/lib/simulation.mjs'
import { GATEWAY_KINDS, KINDS_OF_A_RUN, RARE_KINDS, UNRECOVERABLE } from './kinds.ts'

/** The same ones every time: a change that breaks one is found by whoever makes it. */
const SEEDS = 1_000
const GATEWAY_SEEDS = 60
/** On a machine that is busy with other things fewer have to do, and the run says how many. */
const SEEDS_SHARE_MIN = 0.1
const SEEDS_LIMIT_MS = 230_000
const GATEWAY_SEEDS_LIMIT_MS = 35_000
const SEEDS_FOR_RARE_KINDS = 400
/** Runs that end since a disk was emptied just when another member failed: more would mean that I15 is not tried. */
const UNRECOVERABLE_SHARE_MAX = 0.01
/** Patches per run of `npm test`; which ones turns with the days. */
const BUGS_PER_RUN = 4
const BUG_LIMIT_MS = 25_000
const DAY_MS = 86_400_000

async function run(count: number, limitMs: number, args: readonly string[] = []): Promise<typeof Totals> {
  const totals = new Totals()
  const seeds = Array.from({ length: count }, (_, i) => i + 1)
  const untilMs = Date.now() + limitMs
  const each = (result: object) => {
    totals.add(result)
    return Date.now() < untilMs || totals.seeds < count * SEEDS_SHARE_MIN
  }
  await runSeeds({ seeds, args, each })
  totals.print(console.log)
  const failures = totals.failures as { seed: number; rule: string; message: string }[]
  for (const { seed, message } of failures)
    console.log(
      `seed ${seed}: ${message}\n  replay: npm run simulate -- --seed ${seed} --trace ${args.join(' ')}`,
    )
  expect(failures.map(({ seed, rule }) => `${seed} ${rule}`)).toEqual([])
  return totals
}

test(`up to ${SEEDS} seeds keep every promise, and every kind of fault happens`, async () => {
  const totals = await run(SEEDS, SEEDS_LIMIT_MS)
  const unrecoverable = totals.counts[UNRECOVERABLE] ?? 0
  expect(unrecoverable).toBeLessThanOrEqual(Math.ceil(totals.seeds * UNRECOVERABLE_SHARE_MAX))
  const kinds = totals.seeds < SEEDS_FOR_RARE_KINDS ? KINDS_OF_A_RUN : [...KINDS_OF_A_RUN, ...RARE_KINDS]
  expect(totals.missing(kinds)).toEqual([])
})

test(`up to ${GATEWAY_SEEDS} seeds whose clients come by any gateway, and go elsewhere, keep every promise`, async () => {
  const totals = await run(GATEWAY_SEEDS, GATEWAY_SEEDS_LIMIT_MS, ['--gateways', 'always'])
  if (totals.seeds < GATEWAY_SEEDS / 2) return
  expect(totals.missing(GATEWAY_KINDS)).toEqual([])
})

const bugs: string[] = bugNames()
const first = (Math.floor(Date.now() / DAY_MS) * BUGS_PER_RUN) % bugs.length
const chosen = Array.from({ length: BUGS_PER_RUN }, (_, i) => bugs[(first + i) % bugs.length]!)

for (const name of chosen) {
  test(`seeded bug: ${name} is found`, async ({ skip }) => {
    const { found, tried, timedOut } = await huntBug(name, { limitMs: BUG_LIMIT_MS })
    if (found === null && timedOut)
      skip(`${tried} seeds did not find it, and the machine is too busy for more`)
    expect(found, `not found in ${tried} seeds`).not.toBeNull()
  })
}
