import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClusterSession } from '../../src/control/cluster-sessions.ts'
import type { VolumeShown } from '../../src/control/control.ts'
import { Background, eventually } from '../lib/cluster/background.ts'
import { EtcdMembers } from '../lib/cluster/etcd-members.ts'
import { HostNetwork, hostNetworkMissing } from '../lib/cluster/host-network.ts'
import { ISCSI_PORT, Peers } from '../lib/cluster/peers.ts'
import { etcdMissing } from '../lib/etcd-server.ts'
import { programsMissing, run } from '../lib/programs.ts'
import { directoryOfRun } from '../lib/temporary-directory.ts'

const HOSTS = ['a', 'b', 'c']
const TARGET = 'iqn.2026-11.io.holdfast:disk1'
const STEP_MS = 60_000

const missing =
  hostNetworkMissing() ?? etcdMissing() ?? programsMissing(['qemu-img', 'iscsi-ls', 'iscsi-inq'])
if (missing !== null) console.log(`skipped: drained peer: ${missing}`)

describe.skipIf(missing !== null)('draining', () => {
  let directory: string
  let network: HostNetwork
  let etcd: EtcdMembers
  let peers: Peers
  let writer: Background | null = null

  beforeAll(async () => {
    directory = directoryOfRun('drained').path
    network = await HostNetwork.create([...HOSTS, 'client'])
    etcd = new EtcdMembers(network, HOSTS, directory)
    peers = new Peers(network, etcd, directory)
    await etcd.start()
    await peers.init('a')
    for (const host of HOSTS) await peers.join(host)
    await peers.done('a', 'volume', 'create', 'disk1', '256MiB')
  }, 120_000)

  afterAll(async () => {
    await writer?.kill()
    await peers?.stop()
    await etcd?.stop()
    await network?.[Symbol.asyncDispose]()
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })

  const portal = (host: string) => `${network.address(host)}:${ISCSI_PORT}`
  const uri = (host: string) => `iscsi://${portal(host)}/${TARGET}/0`
  const client = (...argv: string[]) => {
    const [program, ...rest] = [...network.on('client'), ...argv]
    return run(program!, rest)
  }
  const owner = async () => (await peers.json<VolumeShown>('a', 'volume', 'show', 'disk1')).replication.owner
  /** Of one peer, as another one lists them. */
  const sessions = async (host: string) => {
    const all = await peers.json<ClusterSession[]>(host === 'b' ? 'c' : 'b', 'session', 'list')
    return all.filter(({ peer }) => peer === host)
  }

  test('discovery through any portal lists those of all peers, each with its own portal group', async () => {
    for (const host of HOSTS) {
      const { stdout } = await client('iscsi-ls', `iscsi://${portal(host)}`)
      const listed = [...stdout.matchAll(/Portal:([\d.:]+),(\d+)/g)].map(([, address, tag]) => [address, tag])
      expect(listed.sort()).toEqual(HOSTS.map((each, at) => [portal(each), String(at + 1)]).sort())
    }
  })

  test(
    'an initiator that works through the peer goes on elsewhere without an error, and another peer owns the volume',
    async () => {
      const options = ['-w', '-c', '40000', '-d', '4', '-s', '4096', '-f', 'raw', '-t', 'none']
      writer = new Background(
        [...network.on('client'), 'qemu-img', 'bench', ...options, uri('a')],
        join(directory, 'writer.log'),
      )
      await eventually('the session has begun', STEP_MS, async () => {
        expect((await sessions('a')).length).toBe(1)
      })
      await peers.done('b', 'peer', 'drain', 'a')
      await eventually('the session has moved', STEP_MS, async () => {
        const counts = await Promise.all(HOSTS.map(async host => (await sessions(host)).length))
        expect([counts[0], counts[1]! + counts[2]!]).toEqual([0, 1])
      })
      await eventually('another peer owns the volume', STEP_MS, async () => {
        expect(['b', 'c']).toContain(await owner())
      })
      expect([await writer.exited, writer.logTail(20)]).toEqual([
        [0, null],
        expect.stringContaining('Run completed'),
      ])
      expect(await client('iscsi-inq', uri('a'))).toMatchObject({ code: 0 })

      await peers.done('b', 'peer', 'undrain', 'a')
      const { stdout } = await client('iscsi-ls', `iscsi://${portal('b')}`)
      expect(stdout).toContain(portal('a'))
    },
    3 * STEP_MS,
  )
})
