import { realpathSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { VolumeShown } from '../../src/control/control.ts'
import { buildRecorder, lacksCompiler, recordedEnvironment } from '../crash/recorder.ts'
import { eventually } from '../lib/cluster/background.ts'
import { EtcdMembers } from '../lib/cluster/etcd-members.ts'
import { HostNetwork, hostNetworkMissing } from '../lib/cluster/host-network.ts'
import { ISCSI_PORT, NBD_PORT, Peers } from '../lib/cluster/peers.ts'
import { etcdMissing } from '../lib/etcd-server.ts'
import { succeed } from '../lib/programs.ts'
import { directoryOfRun } from '../lib/temporary-directory.ts'
import type { FlushRound, FlushRounds } from './flush-rounds-process.ts'
import { recordedSyncs } from './recorded-syncs.ts'

const HOSTS = ['a', 'b', 'c']
const CLIENT = 'client'
const VOLUMES = ['first', 'second']
const ROUNDS_PROCESS = fileURLToPath(new URL('./flush-rounds-process.ts', import.meta.url))
const ROUNDS = 10
const IN_SYNC_MS = 60_000
const TEST_MS = 300_000
const FDATASYNCS = 'holdfast_store_fdatasyncs_total'

const missing = hostNetworkMissing() ?? etcdMissing() ?? lacksCompiler()
if (missing !== null) console.log(`skipped: fdatasync of each brick: ${missing}`)

describe.skipIf(missing !== null)('three daemons whose syncs are recorded', () => {
  let directory: string
  let network: HostNetwork
  let etcd: EtcdMembers
  let peers: Peers

  const brickOf = (host: string) => join(peers.dataOf(host), host)
  const logOf = (host: string) => join(directory, `${host}-record`)
  const failingOf = (host: string) => join(directory, `${host}-syncs-fail`)
  const replicas = async (volume: string) =>
    (await peers.json<VolumeShown>(peers.running[0] as string, 'volume', 'show', volume)).replication

  beforeAll(async () => {
    directory = realpathSync(directoryOfRun('syncs').path)
    const library = await buildRecorder(directory)
    network = await HostNetwork.create([...HOSTS, CLIENT])
    etcd = new EtcdMembers(network, HOSTS, directory)
    peers = new Peers(network, etcd, directory, host =>
      recordedEnvironment({ library, root: brickOf(host), log: logOf(host), failSyncs: failingOf(host) }),
    )
    await etcd.start()
    await peers.init('a')
    for (const host of HOSTS) await peers.join(host)
    for (const volume of VOLUMES) {
      await peers.done('a', 'volume', 'create', volume, '64MiB', '--replicas', '3')
      await becomesWhole(volume)
    }
  }, TEST_MS)

  afterAll(async () => {
    await peers?.stop()
    await etcd?.stop()
    await network?.[Symbol.asyncDispose]()
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })

  async function becomesWhole(volume: string): Promise<void> {
    await eventually(`${volume} is whole`, IN_SYNC_MS, async () => {
      const { health, members } = await replicas(volume)
      if (health !== 'ok') throw new Error(JSON.stringify(members))
    })
  }

  /** Writes and flushes through the daemon of `host`; answers when each flush is acknowledged. */
  async function flush(
    host: string,
    volume: string,
    what: Pick<FlushRounds, 'protocol' | 'rounds' | 'firstBlock'>,
  ): Promise<FlushRound[]> {
    const gateway = { host: network.address(host), nbdPort: NBD_PORT, iscsiPort: ISCSI_PORT }
    const settings: FlushRounds = { ...what, gateway, volume, logs: HOSTS.map(logOf) }
    const argv = [process.execPath, '--import', 'tsx', ROUNDS_PROCESS, JSON.stringify(settings)]
    const [program, ...args] = [...network.on(CLIENT), ...argv]
    return JSON.parse(await succeed(program as string, args)) as FlushRound[]
  }

  function dataSyncs(host: string, { written, flushed }: FlushRound) {
    const at = HOSTS.indexOf(host)
    return recordedSyncs(
      logOf(host),
      written[at] as number,
      flushed[at] as number,
      join(brickOf(host), 'data-0000'),
    )
  }

  async function countedByTheBrick(host: string): Promise<number> {
    const ask = `fetch('http://127.0.0.1:9280/metrics').then(async answer => console.log(await answer.text()))`
    const [program, ...args] = [...network.on(host), process.execPath, '--eval', ask]
    const line = (await succeed(program as string, args))
      .split('\n')
      .find(text => text.startsWith(FDATASYNCS))
    return Number(line?.split(' ')[1])
  }

  test.each(['iscsi', 'nbd'] as const)(
    'between a write and the answer to a flush over %s every brick has synced its data file',
    async protocol => {
      const before = await Promise.all(HOSTS.map(countedByTheBrick))
      for (const [turn, host] of HOSTS.entries()) {
        const rounds = await flush(host, 'first', { protocol, rounds: ROUNDS, firstBlock: turn * ROUNDS })
        for (const round of rounds) {
          for (const brick of HOSTS) expect(dataSyncs(brick, round).done, brick).toBeGreaterThanOrEqual(1)
        }
      }
      const after = await Promise.all(HOSTS.map(countedByTheBrick))
      for (const at of HOSTS.keys()) {
        expect((after[at] as number) - (before[at] as number)).toBeGreaterThanOrEqual(HOSTS.length * ROUNDS)
      }
    },
    TEST_MS,
  )

  test.each(['the owner', 'another member'])(
    'a failed fsync of %s takes its brick out of every set before the flush is acknowledged',
    async whose => {
      const { owner } = await replicas('first')
      const bad = HOSTS.find(host => (whose === 'the owner') === (host === owner)) as string
      const client = HOSTS.find(host => host !== bad) as string
      writeFileSync(failingOf(bad), '')
      for (const volume of VOLUMES) {
        const [round] = await flush(client, volume, { protocol: 'iscsi', rounds: 1, firstBlock: 100 })
        const { members } = await replicas(volume)
        expect(members.find(({ peer }) => peer === bad)?.state).not.toBe('in sync')
        expect(dataSyncs(bad, round as FlushRound).done).toBe(0)
        for (const { peer, state } of members) {
          if (state === 'in sync')
            expect(dataSyncs(peer, round as FlushRound).done, peer).toBeGreaterThanOrEqual(1)
        }
      }
      rmSync(failingOf(bad))
      await peers.kill(bad)
      peers.start(bad)
      await peers.ready(bad)
      for (const volume of VOLUMES) await becomesWhole(volume)
    },
    TEST_MS,
  )
})
