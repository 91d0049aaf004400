import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { History } from './history.ts'
import { ImageCheck } from './image-check.ts'
import { readMarks } from './marks.ts'
import { seeded } from './random.ts'
import { runChild } from './run-child.ts'

const ROUNDS = Number(process.env.HOLDFAST_CRASH_KILLS ?? 12)
const SEED = Number(process.env.HOLDFAST_CRASH_KILL_SEED ?? 1)
/** From the first mark of a round: long enough to be in the middle of things. */
const LIVES_MS_MAX = 800
const STEPS_NEVER_DONE = 1_000_000

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-kill-'))
  mkdirSync(join(root, 'brick'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

test('killed at any time, again and again, a brick has every acknowledged write', async () => {
  const random = seeded(SEED)
  for (let round = 0; round < ROUNDS; round++) {
    const before = readMarks(root).length
    const livesMs = random() * LIVES_MS_MAX
    const child = await runChild(
      './workload.ts',
      [root, String(SEED * 1000 + round), String(STEPS_NEVER_DONE)],
      process.env,
      kill => killAfter(before, livesMs, kill),
    )
    expect(child, 'the workload runs until it is killed').toMatchObject({ signal: 'SIGKILL', stderr: '' })
    const history = new History()
    for (const [at, mark] of readMarks(root).entries()) history.add(mark, at)
    const check = new ImageCheck(join(root, 'brick'), history, Number.MAX_SAFE_INTEGER, 'kill', random)
    // Every other time the next workload is the first to open what the kill left.
    if (round % 2 === 0 || round === ROUNDS - 1) await check.run(round === ROUNDS - 1)
  }
  const done = readMarks(root).filter(({ mark }) => mark === 'done').length
  expect(done).toBeGreaterThan(ROUNDS)
})

function killAfter(marks: number, livesMs: number, kill: (signal: NodeJS.Signals) => void): void {
  const poll = setInterval(() => {
    if (readMarks(root).length <= marks) return
    clearInterval(poll)
    setTimeout(() => kill('SIGKILL'), livesMs)
  }, 20)
}
