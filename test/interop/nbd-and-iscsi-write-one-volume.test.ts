import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { below, type Random, seeded } from '../crash/random.ts'
import { Daemon, IQN_PREFIX } from '../lib/daemon.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

const BLOCK_BYTES = 512
/** Few, so that the writers meet. */
const BLOCKS = 64
const WRITES_PER_WRITER = 400
const SEED = randomInt(2 ** 31)

let directory: TemporaryDirectory
let daemon: Daemon

beforeAll(async () => {
  directory = temporaryDirectory('both')
  daemon = await Daemon.start({ directory: directory.path })
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

/** What each block may hold: the last write, or any of those that were under way with it. */
class LegalContents {
  readonly #legal: Set<number>[] = Array.from({ length: BLOCKS }, () => new Set([0]))
  readonly #underWay: Set<number>[] = Array.from({ length: BLOCKS }, () => new Set())
  /** Of each write: those that were under way at some time while it was. */
  readonly #met = new Map<number, Set<number>>()
  #stamps = 0

  begin(block: number): number {
    const stamp = ++this.#stamps
    const underWay = this.#underWay[block]!
    for (const other of underWay) this.#met.get(other)!.add(stamp)
    this.#met.set(stamp, new Set(underWay))
    underWay.add(stamp)
    this.#legal[block]!.add(stamp)
    return stamp
  }

  /** What ended before this write began is overwritten; what it has met may have been applied after it, ended or not. */
  end(block: number, stamp: number): void {
    this.#underWay[block]!.delete(stamp)
    const met = this.#met.get(stamp)!
    this.#legal[block] = new Set([...this.#legal[block]!].filter(other => other === stamp || met.has(other)))
  }

  allows(block: number, stamp: number): boolean {
    return this.#legal[block]!.has(stamp)
  }
}

function stamped(stamp: number): Buffer {
  const data = Buffer.alloc(BLOCK_BYTES, stamp & 0xff)
  data.writeUInt32BE(stamp)
  return data
}

async function writer(
  legal: LegalContents,
  random: Random,
  write: (block: number, data: Buffer) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < WRITES_PER_WRITER; i++) {
    const block = below(random, BLOCKS)
    const stamp = legal.begin(block)
    await write(block, stamped(stamp))
    legal.end(block, stamp)
  }
}

test(`seed ${SEED}: written through both at once, every block holds what it may, and both read the same`, async () => {
  const port = Number(daemon.iscsi[0]!.split(':')[1])
  await using initiator = await Initiator.open(port, { targetName: `${IQN_PREFIX}demo` })
  using client = await NbdClient.open(Number(daemon.nbd.split(':')[1]), 'structured', 'demo')
  const legal = new LegalContents()
  await Promise.all([
    writer(legal, seeded(SEED), async (block, data) => {
      await initiator.write(block, data)
    }),
    writer(legal, seeded(SEED + 1), async (block, data) => {
      expect(await client.writeAt(block * BLOCK_BYTES, data)).toBe(0)
    }),
  ])
  const overNbd = await client.readAt(0, BLOCKS * BLOCK_BYTES)
  expect((await initiator.read(0, BLOCKS)).equals(overNbd)).toBe(true)
  for (let block = 0; block < BLOCKS; block++) {
    const data = overNbd.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
    const stamp = data.readUInt32BE()
    expect(stamp === 0 || data.equals(stamped(stamp))).toBe(true)
    expect([block, stamp, legal.allows(block, stamp)]).toEqual([block, stamp, true])
  }
})
