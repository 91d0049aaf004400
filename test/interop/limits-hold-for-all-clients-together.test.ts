import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { holdfastDone, holdfastJson, succeed } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

/** One a second: within the time limit of this test the clients end only once there is no limit. */
const OPERATIONS = 4000
const DEPTH = 16
const CLIENTS = 2
const RATE = 50
const BURST = 40
const POLL_MS = 100

let directory: TemporaryDirectory
let daemon: Daemon

beforeAll(async () => {
  directory = temporaryDirectory('limits')
  daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

interface Counted {
  /** Before the daemon was asked, and after it had answered. */
  readonly fromMs: number
  readonly toMs: number
  readonly operations: number
  readonly waited: number
}

/** Reads and writes of the volume that have ended, and how many had to wait. */
async function count(volume: string): Promise<Counted> {
  const fromMs = performance.now()
  const text = await (await fetch(`${daemon.apiUrl}/metrics`)).text()
  const value = (name: string) =>
    [...text.matchAll(new RegExp(`^holdfast_volume_${name} (\\S+)$`, 'gm'))].reduce(
      (sum, match) => sum + Number(match[1]),
      0,
    )
  const operations = value(`operations_total\\{volume="${volume}",operation="(?:read|write)"\\}`)
  const waited = value(`throttled_operations_total\\{volume="${volume}"\\}`)
  return { fromMs, toMs: performance.now(), operations, waited }
}

async function countUntil(volume: string, isReached: (counted: Counted) => boolean): Promise<Counted> {
  for (;;) {
    const counted = await count(volume)
    if (isReached(counted)) return counted
    await sleep(POLL_MS)
  }
}

/** What may have ended between two counts: rate and burst, and what was under way at the first one. */
function allowedBetween(before: Counted, after: Counted, rate: number, burst: number): number {
  return burst + (rate * (after.toMs - before.fromMs)) / 1000 + CLIENTS * DEPTH
}

test('a limit set while clients of both protocols work holds for all of them together, and can be lifted', async () => {
  await holdfastDone(daemon, 'volume', 'create', 'disk', '64MiB', '--iops-limit', '1')
  const bench = (...image: string[]) =>
    succeed('qemu-img', [
      ...['bench', '-f', 'raw', '-c', String(OPERATIONS), '-d', String(DEPTH), '-s', '4096', ...image],
    ])
  const done = Promise.all([bench('-w', `nbd://${daemon.nbd}/disk`), bench(daemon.url('disk'))])

  const stuck = await countUntil('disk', ({ waited }) => waited >= CLIENTS)
  await holdfastDone(
    daemon,
    ...['volume', 'set', 'disk', '--iops-limit', String(RATE), '--iops-burst', String(BURST)],
  )
  const faster = await countUntil('disk', ({ operations }) => operations >= stuck.operations + 3 * BURST)
  expect(faster.operations - stuck.operations).toBeLessThanOrEqual(allowedBetween(stuck, faster, RATE, BURST))

  await holdfastDone(daemon, 'volume', 'set', 'disk', '--iops-limit', '1', '--iops-burst', 'none')
  const slow = await count('disk')
  await sleep(10 * POLL_MS)
  const slower = await count('disk')
  expect(slower.operations - slow.operations).toBeLessThanOrEqual(allowedBetween(slow, slower, 1, 1))
  expect(slower.operations).toBeLessThan(CLIENTS * OPERATIONS)

  await holdfastDone(daemon, 'volume', 'set', 'disk', '--iops-limit', 'none')
  expect(await holdfastJson(daemon, 'volume', 'show', 'disk')).toMatchObject({
    limits: { iops: null, iopsBurst: null, bytesPerSecond: null, burstBytes: null },
  })
  const said = await done
  expect(said.join('')).toMatch(/Run completed in .*Run completed in /s)
})

test('bandwidth: a copy larger than the burst is whole, and no more than burst and rate go by', async () => {
  const mib = 2 ** 20
  await holdfastDone(daemon, 'volume', 'create', 'copy', '32MiB', '--bandwidth-limit', '16MiB')
  await holdfastDone(daemon, 'volume', 'set', 'copy', '--bandwidth-burst', '2MiB')
  const startMs = performance.now()
  const pattern = ['-f', 'raw', '-c', 'write -P 0x5a 0 16M', '-c', 'read -P 0x5a 0 16M']
  expect(await succeed('qemu-io', [...pattern, `nbd://${daemon.nbd}/copy`])).not.toMatch(/failed/i)
  const seconds = (performance.now() - startMs) / 1000
  // qemu asks in pieces of at most 32 MiB: the last one may leave a debt behind.
  expect(32 * mib).toBeLessThanOrEqual(2 * mib + 16 * mib * seconds + 16 * mib)
})
