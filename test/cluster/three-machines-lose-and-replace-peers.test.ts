import { spawnSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DaemonStatus } from '../../src/api/backend.ts'
import type { VolumeShown } from '../../src/control/control.ts'
import type { PeerInfo } from '../../src/control/records.ts'
import { Background, eventually } from '../lib/cluster/background.ts'
import { EtcdMembers } from '../lib/cluster/etcd-members.ts'
import { HostNetwork, hostNetworkMissing } from '../lib/cluster/host-network.ts'
import { NBD_PORT, Peers } from '../lib/cluster/peers.ts'
import { etcdMissing } from '../lib/etcd-server.ts'
import { directoryOfRun } from '../lib/temporary-directory.ts'

const ETCD = ['a', 'b', 'c']
const FIO_SECONDS = 30
const STEP_MS = 60_000

const missing = hostNetworkMissing() ?? etcdMissing() ?? fioMissing()
if (missing !== null) console.log(`skipped: three machines: ${missing}`)

describe.skipIf(missing !== null)('README: three machines', () => {
  let directory: string
  let network: HostNetwork
  let etcd: EtcdMembers
  let peers: Peers
  let fio: Background | null = null

  beforeAll(async () => {
    directory = directoryOfRun('three').path
    network = await HostNetwork.create([...ETCD, 'd', 'client'])
    etcd = new EtcdMembers(network, ETCD, directory)
    peers = new Peers(network, etcd, directory)
    await etcd.start()
  }, 120_000)

  afterAll(async () => {
    await fio?.kill()
    await peers?.stop()
    await etcd?.stop()
    await network?.[Symbol.asyncDispose]()
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })

  const volume = () => peers.json<VolumeShown>('b', 'volume', 'show', 'disk1')
  const health = async () => (await volume()).replication.health
  const cluster = async () => (await peers.json<DaemonStatus>('b', 'status')).cluster

  async function becomes(what: string, holds: () => Promise<boolean>): Promise<void> {
    await eventually(what, STEP_MS, async () => {
      if (!(await holds())) throw new Error(JSON.stringify([await volume(), await cluster()]))
    })
  }

  test(
    'a killed peer, its return, a new one and a drained one pass by a host that writes and verifies',
    async () => {
      await peers.init('a')
      for (const host of ETCD) await peers.join(host)
      await peers.done('a', 'volume', 'create', 'disk1', '256MiB')
      expect(await volume()).toMatchObject({ replicas: 3, minReplicas: 2 })
      await becomes('the volume is served', async () => (await health()) === 'ok')

      const uri = `nbd://${network.address('b')}:${NBD_PORT}/disk1`
      fio = new Background([...network.on('client'), 'fio', ...fioJob(uri)], join(directory, 'fio.log'))

      await peers.kill('a')
      await becomes('two replicas go on', async () => {
        const { peersUp, volumes } = await cluster()
        return peersUp === 2 && volumes.degraded === 1
      })
      peers.start('a')
      await peers.ready('a')
      await becomes('the killed peer is up to date again', async () => (await health()) === 'ok')

      await peers.join('d')
      await peers.done('b', 'peer', 'drain', 'c')
      await becomes('the drained peer holds nothing', async () => {
        const drained = await peers.json<PeerInfo>('b', 'peer', 'show', 'c')
        return drained.ranges === 0 && (await health()) === 'ok'
      })
      await peers.kill('c')
      await becomes('the drained peer is down', async () => (await cluster()).peersUp === 3)
      await peers.done('b', 'peer', 'remove', 'c')
      const members = (await volume()).replication.members.map(({ peer }) => peer)
      expect(members.sort()).toEqual(['a', 'b', 'd'])
      expect(await cluster()).toMatchObject({ peers: 3, peersUp: 3, balanced: true })

      expect([await fio.exited, fio.logTail(60)]).toEqual([[0, null], expect.stringContaining('err= 0')])
    },
    4 * STEP_MS,
  )
})

function fioMissing(): string | null {
  const { error } = spawnSync('fio', ['--version'], { stdio: 'ignore' })
  return error === undefined ? null : 'fio is not installed (Debian: fio)'
}

/** Random writes over half of the volume, each block read back and compared. */
function fioJob(uri: string): string[] {
  const job = {
    name: 'verify',
    ioengine: 'nbd',
    uri,
    rw: 'randwrite',
    bs: '4k',
    size: '128m',
    iodepth: '8',
    rate_iops: '500',
    time_based: '1',
    runtime: String(FIO_SECONDS),
    verify: 'crc32c',
    verify_backlog: '1024',
    verify_fatal: '1',
    randrepeat: '0',
  }
  return Object.entries(job).map(([name, value]) => `--${name}=${value}`)
}
