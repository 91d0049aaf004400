import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { EtcdServer, etcdMissing } from '../../test/lib/etcd-server.ts'
import { decodeValue, encodeValue, keys, type RegistrationValue } from '../control/layout.ts'
import { openEtcdStore } from '../metadata/etcd/etcd-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { HeartbeatThread } from './heartbeat-thread.ts'
import { Membership } from './membership.ts'
import { refuseIdentity } from './peer-identity.ts'
import { ProgressMark } from './progress.ts'

const missing = etcdMissing()
if (missing !== null) console.log(`skipped: membership in etcd: ${missing}`)
const silent = { warn: () => {} }

function registration(incarnation: string, brick: string, usedBytes = 0): RegistrationValue {
  return {
    number: 1,
    incarnation,
    bootId: 'boot',
    brick,
    openCounter: 1,
    capacityBytes: 100,
    usedBytes,
    peerAddress: '127.0.0.1:1',
    portals: [],
    nbd: [],
    formats: { brick: 1, wire: [1, 1] },
    startedAt: '2026-11-21T00:00:00.000Z',
  }
}

describe.skipIf(missing !== null)('membership', () => {
  let server: EtcdServer
  let metadata: MetadataStore
  const open: AsyncDisposable[] = []
  beforeAll(async () => {
    server = await EtcdServer.create()
    metadata = openEtcdStore({ endpoints: [server.endpoint] })
  })
  afterEach(async () => {
    for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
  })
  afterAll(async () => {
    await metadata?.[Symbol.asyncDispose]()
    await server?.destroy()
  })

  const member = (peerId: string, value: () => RegistrationValue, oldestIoMs = () => 0) => {
    const etcd = { endpoints: [server.endpoint] }
    const heartbeat = new HeartbeatThread(etcd, new ProgressMark(), oldestIoMs, silent)
    const made = new Membership({ metadata, heartbeat, peerId, registration: value, log: silent })
    open.push(made)
    return made
  }
  const read = async (peerId: string) => {
    const entry = await metadata.get(keys.registration(peerId))
    return entry === null ? null : decodeValue('registration', entry.key, entry.value)
  }

  test('a peer is registered under the lease of its thread, and gone at once when it stops', async () => {
    let used = 1
    const mine = member('a', () => registration('i', 'b', used))
    await mine.start()
    expect((await metadata.get(keys.registration('a')))?.lease).toBe(mine.current())
    used = 2
    mine.update()
    await expect.poll(async () => (await read('a'))?.usedBytes).toBe(2)
    await mine[Symbol.asyncDispose]()
    expect(await read('a')).toBeNull()
  })

  test('a peer whose disk hangs gets no lease', async () => {
    const hung = member(
      'h',
      () => registration('i', 'h'),
      () => 2000,
    )
    const other = member('o', () => registration('i', 'o'))
    await other.start()
    expect(hung.current()).toBeNull()
    expect(await read('h')).toBeNull()
  })

  test('a restarted peer replaces what its dead process left, another brick does not', async () => {
    const lease = await metadata.grantLease(60)
    const value = encodeValue('registration', registration('dead', 'b'))
    await metadata.transact({
      compare: [],
      success: [{ do: 'put', key: keys.registration('r'), value, lease }],
    })
    await expect(member('r', () => registration('i', 'other')).start()).rejects.toMatchObject({
      code: 'ERR_PEER_EXISTS',
    })
    await member('r', () => registration('new', 'b')).start()
    expect((await read('r'))?.incarnation).toBe('new')
    await metadata.revokeLease(lease)
    expect((await read('r'))?.incarnation).toBe('new')
  })

  test('identity: number, brick and open counter are those of the metadata', async () => {
    const put = (key: string, value: Buffer) => ({ do: 'put', key, value }) as const
    await metadata.transact({
      compare: [],
      success: [
        put(keys.peer('p'), encodeValue('peer', { number: 7, addresses: [], labels: {} })),
        put(keys.brick('b'), encodeValue('brick', { peer: 'p', openCounter: 3 })),
      ],
    })
    const good = { clusterId: 'c', peerId: 'p', peerNumber: 7, brickUuid: 'b', openCounter: 3 }
    const asked = (change: object) =>
      refuseIdentity(metadata, 'c', { ...good, bootId: '', incarnation: '', ...change })
    expect(await asked({})).toBeNull()
    expect(await asked({ clusterId: 'd' })).toContain('cluster d')
    expect(await asked({ peerId: 'q' })).toContain("no peer 'q'")
    expect(await asked({ peerNumber: 8 })).toContain('number 7')
    expect(await asked({ brickUuid: 'x' })).toContain('not known')
    expect(await asked({ openCounter: 2 })).toContain('opened 3 times, not 2')
  })
})
