import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Daemon, IQN_PREFIX } from '../lib/daemon.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'
import { ALL_ZERO, BLOCK_BYTES, describeBlock, fillBlock, writerOf } from './pattern.ts'
import { below, type Random, seeded } from './random.ts'

const TEST_UNIT_READY = Buffer.alloc(6)
const ROUNDS = Number(process.env.HOLDFAST_CRASH_KILLS ?? 4)
const SEED = Number(process.env.HOLDFAST_CRASH_KILL_SEED ?? 1)
const WRITERS = 8
const BLOCKS_PER_WRITER = 1024
const RUN_BLOCKS_MAX = 16
const LIVES_MS_MIN = 200
const LIVES_MS_MAX = 900
const LBAS_PER_BLOCK = BLOCK_BYTES / 512
const VOLUME = 0

const isBuilt = existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)))
if (!isBuilt) console.warn('killing the daemon: skipped, there is no build (npm run build)')

/** What the next read of each block may find: the last acknowledged write, or one that was never answered. */
class Expectations {
  readonly #acknowledged = new Map<number, number>()
  readonly #unanswered = new Map<number, Set<number>>()
  #lastId = 0
  acknowledgements = 0

  begin(first: number, count: number): { id: number; data: Buffer } {
    const id = ++this.#lastId
    const data = Buffer.alloc(count * BLOCK_BYTES)
    for (let index = 0; index < count; index++) {
      fillBlock(data, index * BLOCK_BYTES, id, VOLUME, first + index)
      const unanswered = this.#unanswered.get(first + index) ?? new Set()
      this.#unanswered.set(first + index, unanswered.add(id))
    }
    return { id, data }
  }

  acknowledge(id: number, first: number, count: number): void {
    this.acknowledgements++
    for (let block = first; block < first + count; block++) this.#isNow(block, id)
  }

  /** What was read stays so. */
  check(first: number, data: Buffer): void {
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      const block = first + at / BLOCK_BYTES
      const found = writerOf(data, at, VOLUME, block)
      const may = [this.#acknowledged.get(block) ?? ALL_ZERO, ...(this.#unanswered.get(block) ?? [])]
      if (!may.includes(found)) {
        expect.fail(`block ${block} holds ${describeBlock(data, at)}; allowed are operations ${may}`)
      }
      this.#isNow(block, found)
    }
  }

  #isNow(block: number, id: number): void {
    this.#acknowledged.set(block, id)
    this.#unanswered.delete(block)
  }
}

/** Writes one run after another until the daemon is gone. */
async function writeUntilClosed(
  initiator: Initiator,
  writer: number,
  random: Random,
  expected: Expectations,
): Promise<void> {
  for (;;) {
    const count = 1 + below(random, RUN_BLOCKS_MAX)
    const first = writer * BLOCKS_PER_WRITER + below(random, BLOCKS_PER_WRITER - count)
    const { id, data } = expected.begin(first, count)
    try {
      await initiator.write(first * LBAS_PER_BLOCK, data)
    } catch {
      return
    }
    expected.acknowledge(id, first, count)
  }
}

/** Logged in, and told what a unit has to say after its daemon's restart (29/00). */
async function openReady(port: number): Promise<Initiator> {
  const initiator = await Initiator.open(port, { targetName: `${IQN_PREFIX}demo` })
  await initiator.command({ cdb: TEST_UNIT_READY })
  return initiator
}

async function readAll(initiator: Initiator, expected: Expectations): Promise<void> {
  const piece = 64
  for (let first = 0; first < WRITERS * BLOCKS_PER_WRITER; first += piece) {
    expected.check(first, await initiator.read(first * LBAS_PER_BLOCK, piece * LBAS_PER_BLOCK))
  }
}

test.skipIf(!isBuilt)(
  'a daemon killed under load, again and again, has every acknowledged write',
  async () => {
    using directory = temporaryDirectory('kill')
    const random = seeded(SEED)
    const expected = new Expectations()
    let daemon = await Daemon.start({ directory: directory.path })
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const port = Number(daemon.iscsi[0]!.split(':').at(-1))
        const initiator = await openReady(port)
        await readAll(initiator, expected)
        const writers = Array.from({ length: WRITERS }, (_, writer) =>
          writeUntilClosed(initiator, writer, random, expected),
        )
        await sleep(LIVES_MS_MIN + below(random, LIVES_MS_MAX - LIVES_MS_MIN))
        await daemon.kill()
        await Promise.all(writers)
        daemon = await daemon.restart()
      }
      const port = Number(daemon.iscsi[0]!.split(':').at(-1))
      await using last = await openReady(port)
      await readAll(last, expected)
      expect(expected.acknowledgements).toBeGreaterThan(ROUNDS * WRITERS)
    } finally {
      await daemon.kill()
    }
  },
)
