import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CheckSummary, CheckTask, ImageAttempt, ImageFailure } from './check-images.ts'
import { compareWithRecord } from './compare-record.ts'
import type { CrashedStart } from './crashed-start.ts'
import type { Variant } from './image-check.ts'
import { parseLog } from './record-log.ts'
import { buildRecorder, lacksCompiler, recordedEnvironment } from './recorder.ts'
import { runChild } from './run-child.ts'

const SEEDS = (process.env.HOLDFAST_CRASH_SEEDS ?? '1').split(',').map(Number)
const STEPS = Number(process.env.HOLDFAST_CRASH_STEPS ?? 200)
/** What all images of one recorded run may take. A slower machine then checks fewer of them, and says so. */
const BUDGET_MS = Number(process.env.HOLDFAST_CRASH_BUDGET_MS ?? 100_000)
/** Fewer than that say nothing, however slow the machine. */
const IMAGES_MIN = 20
/** Where in a run its power is cut for the one that goes on from there. */
const CUT_OF_FIRST_RUN = 0.6
const SHARDS = Math.min(2, availableParallelism())
type ReplayParts = [log: string, root: string, cut: string, variant: Variant, seed: string, bootId: string]
/** ReplayParts with colons between, as a failure prints it. */
const REPLAY = process.env.HOLDFAST_CRASH_REPLAY
const FIRST_BOOT_ID = 'b1b1b1b1-0000-4000-8000-000000000001'
const SECOND_BOOT_ID = 'b2b2b2b2-0000-4000-8000-000000000002'

const missing = lacksCompiler()
if (missing !== null) console.warn(`power-cut tests skipped: ${missing}`)

interface Run {
  readonly seed: number
  readonly root: string
  readonly log: string
  readonly bootId: string
}

describe.skipIf(missing !== null)('power cut', () => {
  let directory: string
  let scratch: string
  let library: string
  const runs: Run[] = []

  beforeAll(async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-crash-')))
    // Images are many and live for a moment: in memory their syncs cost nothing.
    scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : directory, 'holdfast-crash-'))
    library = await buildRecorder(directory)
    if (REPLAY !== undefined) return
    for (const seed of SEEDS) runs.push(await record(seed, STEPS))
  })

  afterAll(() => {
    for (const path of [directory, scratch]) rmSync(path, { recursive: true, force: true })
  })

  async function record(seed: number, steps: number, start?: CrashedStart): Promise<Run> {
    const name = `run-${seed}${start === undefined ? '' : '-again'}`
    const root = join(directory, name)
    const log = join(directory, `${name}.log`)
    mkdirSync(join(root, 'brick'), { recursive: true })
    const bootId = start === undefined ? FIRST_BOOT_ID : SECOND_BOOT_ID
    const env = recordedEnvironment({ library, root, log, bootId })
    const parameters = [root, String(seed), String(steps)]
    if (start !== undefined) parameters.push(JSON.stringify(start))
    const child = await runChild('./workload.ts', parameters, env)
    expect(child, 'the workload ends well').toMatchObject({ code: 0, stderr: '' })
    return { seed, root, log, bootId }
  }

  async function check(
    run: Run,
    options: Partial<CheckTask>,
  ): Promise<{ failures: ImageFailure[]; summaries: CheckSummary[] }> {
    const shards = options.only === undefined ? SHARDS : 1
    const { bootId } = run
    const env = { ...recordedEnvironment({ library, bootId }), CRASH_BOOT_ID: bootId }
    const children = await Promise.all(
      Array.from({ length: shards }, (_, shard) => {
        const task: CheckTask = {
          log: run.log,
          root: run.root,
          seed: run.seed,
          scratch,
          shard,
          shards,
          stride: 1,
          endsAtMs: Date.now() + BUDGET_MS / SEEDS.length,
          ...options,
        }
        return runChild('./check-images.ts', [JSON.stringify(task)], env)
      }),
    )
    const failures: ImageFailure[] = []
    const summaries: CheckSummary[] = []
    for (const child of children) {
      const lines = child.stdout.split('\n').filter(line => line !== '')
      const reports = lines.map(line => JSON.parse(line) as ImageAttempt | ImageFailure | CheckSummary)
      failures.push(...reports.filter(report => 'problem' in report))
      summaries.push(...reports.filter(report => 'checked' in report))
      if (child.code === 0) continue
      const last = reports.findLast(report => 'trying' in report)
      expect(last, `the checker begins: ${child.stderr}`).toBeDefined()
      failures.push({ ...last!.trying, seed: run.seed, problem: `${child.signal}: ${child.stderr}` })
    }
    return { failures, summaries }
  }

  function explain(run: Run, failures: readonly ImageFailure[]): string {
    if (failures.length === 0) return ''
    const kept = join(tmpdir(), `holdfast-crash-${run.seed}-${Date.now()}.log`)
    copyFileSync(run.log, kept)
    const shown = failures.slice(0, 5).map(({ cut, variant, seed, problem }) => {
      return `${problem}\n  replay: HOLDFAST_CRASH_REPLAY=${kept}:${run.root}:${cut}:${variant}:${seed}:${run.bootId}`
    })
    return `${failures.length} images break a promise:\n${shown.join('\n')}`
  }

  test.skipIf(REPLAY !== undefined)('the record holds everything that reached the files of the brick', () => {
    for (const run of runs)
      expect(compareWithRecord(join(run.root, 'brick'), readFileSync(run.log))).toEqual([])
  })

  test.skipIf(REPLAY !== undefined)(
    'cut at any write, a brick opens with all that was flushed and nothing foreign',
    async () => {
      for (const run of runs) {
        const { failures, summaries } = await check(run, {})
        const checked = summaries.reduce((sum, one) => sum + one.checked, 0)
        const cuts = summaries.reduce((sum, one) => sum + one.cuts, 0)
        const late = summaries.some(one => one.outOfTime) ? ', out of time before the end of the run' : ''
        console.log(`power cut, seed ${run.seed}: ${checked} images at ${cuts} positions${late}`)
        expect(explain(run, failures)).toBe('')
        expect(checked).toBeGreaterThan(IMAGES_MIN)
      }
    },
  )

  test.skipIf(REPLAY !== undefined)(
    'a brick that lost its power is held to the same when it loses it again',
    async () => {
      const { log, root, seed } = runs[0]!
      const entries = parseLog(readFileSync(log)).length
      const cut = Math.floor(entries * CUT_OF_FIRST_RUN)
      const again = await record(seed, STEPS / 4, { log, root, cut, seed })
      const { failures, summaries } = await check(again, { endsAtMs: Date.now() + BUDGET_MS / 4 })
      expect(explain(again, failures)).toBe('')
      expect(summaries.reduce((sum, one) => sum + one.checked, 0)).toBeGreaterThan(IMAGES_MIN)
    },
  )

  test.skipIf(REPLAY !== undefined).each(['data-', 'checksums-', 'stamps-', 'activity', 'journal', 'meta/'])(
    'a store that forgets to sync %s is caught',
    async ignoresSyncOf => {
      const { failures } = await check(runs[0]!, { ignoresSyncOf, stopsAtFailure: true, stride: 5 })
      expect(failures.length).toBeGreaterThan(0)
    },
  )

  // A tool of a person's, not a test that others skip.
  if (REPLAY === undefined) return
  test('replay', async () => {
    const [log, root, cut, variant, seed, bootId] = REPLAY!.split(':') as ReplayParts
    const run = { log, root, seed: Number(seed), bootId }
    const { failures } = await check(run, { only: { cut: Number(cut), variant } })
    expect(failures.map(({ problem }) => problem)).toEqual([])
  })
})
