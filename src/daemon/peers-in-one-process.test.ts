import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cli } from '../../test/unit/cli/harness.ts'
import { loadConfig } from '../config/load-config.ts'
import type { VolumeShown } from '../control/control.ts'
import { Daemon } from './daemon.ts'

const log = pino({ enabled: false })
const IMAGE = Buffer.alloc(3 * 2 ** 20, 'holdfast ')
let directory: string
let daemon: Daemon | null = null

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-peers-'))
})
afterEach(async () => {
  await daemon?.stop()
  daemon = null
  await rm(directory, { recursive: true })
})

async function start(peers: number | null): Promise<Daemon> {
  await daemon?.stop()
  const ports = { iscsi: ['127.0.0.1:0'], nbd: ['127.0.0.1:0'], api: '127.0.0.1:0' }
  const config = loadConfig({ flags: { data: join(directory, 'data'), capacity: '2GiB', ...ports } })
  daemon = await Daemon.start({ config, log, version: '0.1.0', demo: false, peers })
  return daemon
}

async function holdfast(line: string, stdin?: Buffer) {
  const argv = [...line.split(' '), '--api', daemon!.apiUrl]
  const outcome = await cli(argv, stdin === undefined ? {} : { stdin })
  expect([line, outcome.err, outcome.code]).toEqual([line, outcome.err, 0])
  return outcome
}

async function shown(): Promise<VolumeShown> {
  const { out } = await holdfast('volume show disk --json')
  return JSON.parse(out)
}

/** Served, with so many members in sync. */
async function inSync(members: number): Promise<void> {
  const count = async () => {
    const { replication } = await shown()
    if (replication.owner === null) return 0
    return replication.members.filter(({ state }) => state === 'in sync').length
  }
  await expect.poll(count, { timeout: 40_000, interval: 100 }).toBe(members)
}

test('three peers in one process: a volume lives on all of them, and without one of the bricks', async () => {
  await start(3)
  await holdfast('volume create disk 64MiB')
  await inSync(3)
  expect(await shown()).toMatchObject({ replicas: 3, minReplicas: 2, replication: { health: 'ok' } })
  await holdfast('volume import - disk', IMAGE)
  await daemon!.stop()
  daemon = null
  await rm(join(directory, 'data/peer-1'), { recursive: true })
  await start(3)
  await expect.poll(async () => (await shown()).replication.health, { timeout: 15_000 }).toBe('degraded')
  const { bytes } = await holdfast('volume export disk -')
  expect(bytes.subarray(0, IMAGE.length).equals(IMAGE)).toBe(true)
}, 90_000)

test('five replicas: a volume goes on without two of the bricks', async () => {
  await start(5)
  await holdfast('volume create disk 64MiB --replicas 5')
  await inSync(5)
  expect(await shown()).toMatchObject({ replicas: 5, minReplicas: 3 })
  await holdfast('volume import - disk', IMAGE)
  await daemon!.stop()
  daemon = null
  for (const lost of [2, 4]) await rm(join(directory, `data/peer-${lost}`), { recursive: true })
  await start(5)
  await expect.poll(async () => (await shown()).replication.health, { timeout: 15_000 }).toBe('degraded')
  const { bytes } = await holdfast('volume export disk -')
  expect(bytes.subarray(0, IMAGE.length).equals(IMAGE)).toBe(true)
}, 90_000)

test('one peer that becomes three loses nothing, and its volumes may have more replicas', async () => {
  await start(1)
  await holdfast('volume create disk 64MiB')
  expect(await shown()).toMatchObject({ replicas: 1, minReplicas: 1 })
  await holdfast('volume import - disk', IMAGE)
  await start(3)
  await inSync(1)
  await holdfast('volume set disk --replicas 3')
  await inSync(3)
  await expect.poll(async () => (await shown()).minReplicas, { timeout: 5_000 }).toBe(2)
  const { bytes } = await holdfast('volume export disk -')
  expect(bytes.subarray(0, IMAGE.length).equals(IMAGE)).toBe(true)
  await expect(start(1)).rejects.toThrow('give --peers 3')
}, 90_000)
