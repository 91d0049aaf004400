import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildClient, type LoadResult, load } from '../client.ts'
import { describeCommit, describeMachine } from '../machine.ts'
import { table } from '../report.ts'
import { type ConditionResult, saveResult } from '../results.ts'
import { type Spread, spread } from '../statistics.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { askApi, CLIENT_CPU, SERVER_CPU, Stage } from './stage.ts'

/** The noise is there before the measurement begins, and after it has ended. */
const NOISE_BEFORE_SECONDS = 0.5
const NOISE_AFTER_SECONDS = 0.5
const WARM_UP_SECONDS = 0.3
/** The noisy client leaves the client's core to the quiet one: it is the server that is measured. */
const NOISY_NICENESS = 19

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
  },
})
const seconds = Number(options.seconds)

interface Round {
  readonly alone: LoadResult
  readonly beside: LoadResult
  /** Null where the noise was no client of a volume. */
  readonly noisy: LoadResult | null
}

interface Results {
  readonly conditions: ConditionResult[]
  readonly rounds: { readonly scenario: Scenario; readonly rounds: readonly Round[] }[]
  readonly failed: string[]
}

function quiet(stage: Stage, { quiet, quietBesideServer }: Scenario, seed: number): Promise<LoadResult> {
  const timing = ['--seconds', String(seconds), '--warm-up', String(WARM_UP_SECONDS), '--seed', String(seed)]
  const cpu = quietBesideServer === true ? SERVER_CPU : CLIENT_CPU
  return load(stage.url('quiet', quiet.protocol), cpu, [...quiet.args, ...timing], seconds)
}

async function beside(stage: Stage, scenario: Scenario, seed: number): Promise<Omit<Round, 'alone'>> {
  const { noisy, apiConnections } = scenario
  const noiseSeconds = NOISE_BEFORE_SECONDS + WARM_UP_SECONDS + seconds + NOISE_AFTER_SECONDS
  const timing = ['--seconds', String(noiseSeconds), '--warm-up', '0', '--seed', String(seed)]
  const noise =
    noisy === null
      ? null
      : load(
          stage.url('noisy', noisy.protocol),
          CLIENT_CPU,
          [...noisy.args, ...timing],
          noiseSeconds,
          NOISY_NICENESS,
        )
  // It may fail while the quiet one is waited for; who awaits it below hears of that.
  noise?.catch(() => {})
  const stopAsking = apiConnections === undefined ? () => {} : askApi(stage, apiConnections)
  try {
    await sleep(NOISE_BEFORE_SECONDS * 1000)
    const measured = await quiet(stage, scenario, seed)
    return { beside: measured, noisy: await noise }
  } finally {
    stopAsking()
  }
}

async function measure(scenario: Scenario, directory: string): Promise<readonly Round[]> {
  await using stage = await Stage.open(directory, scenario.disk)
  await stage.limit(scenario.limits)
  const rounds: Round[] = []
  for (let round = 0; round < Number(options.rounds); round++) {
    await stage.warm(scenario.coldNoise === true)
    const alone = await quiet(stage, scenario, round + 1)
    rounds.push({ alone, ...(await beside(stage, scenario, round + 1)) })
  }
  return rounds
}

const us = ({ median, min, max }: Spread) => `${median.toFixed(0)} (${min.toFixed(0)}-${max.toFixed(0)})`

function conditionOf({ name }: Scenario, rounds: readonly Round[]): ConditionResult {
  const latency = (which: 'alone' | 'beside') => ({
    p50: spread(rounds.map(round => round[which].latencyUs.p50)),
    p99: spread(rounds.map(round => round[which].latencyUs.p99)),
  })
  const noise = rounds.flatMap(({ noisy }) => (noisy === null ? [] : noisy.operationsPerSecond))
  const noisyRate = noise.length === 0 ? null : spread(noise).median
  return { name, alone: latency('alone'), beside: latency('beside'), noisyRate }
}

function row({ name, alone, beside, noisyRate }: ConditionResult): string[] {
  const latencies = [alone.p50, alone.p99, beside.p50, beside.p99].map(us)
  return [name, ...latencies, noisyRate === null ? '-' : noisyRate.toFixed(0)]
}

/** Runs the scenarios one after the other; one that fails is told of, and the others go on. */
async function runAll(chosen: readonly Scenario[], directory: string): Promise<Results> {
  const results: Results = { conditions: [], rounds: [], failed: [] }
  for (const [at, scenario] of chosen.entries()) {
    process.stderr.write(`${scenario.name}\n`)
    const place = join(directory, String(at))
    mkdirSync(place)
    try {
      const rounds = await measure(scenario, place)
      results.rounds.push({ scenario, rounds })
      results.conditions.push(conditionOf(scenario, rounds))
    } catch (error) {
      results.failed.push(`${scenario.name}: ${(error as Error).message}`)
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  }
  return results
}

async function main(): Promise<void> {
  const parts = options.only.split(',').filter(Boolean)
  const chosen = SCENARIOS.filter(({ name }) => parts.length === 0 || parts.some(part => name.includes(part)))
  if (chosen.length === 0)
    throw new Error(`no such scenario: ${SCENARIOS.map(({ name }) => name).join('; ')}`)
  await buildClient()
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-conditions-'))
  try {
    const { conditions, rounds, failed } = await runAll(chosen, directory)
    const head = ['the quiet client, µs', 'alone p50', 'p99', 'beside p50', 'p99', 'noisy op/s']
    console.log(table([head, ...conditions.map(row)]))
    for (const sentence of failed) console.log(`failed: ${sentence}`)
    if (failed.length > 0) process.exitCode = 1
    const file = saveResult('conditions-', {
      ...describeCommit(),
      machine: describeMachine(directory),
      ...{ options, servers: [], summaries: [], conditions, failed, results: rounds },
    })
    console.log(`\nall rounds: ${file}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
