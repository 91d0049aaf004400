import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../../test/lib/control-world.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { admitPeer, initCluster } from '../cluster/admission.ts'
import { refuseIdentity } from '../cluster/peer-identity.ts'
import type { Config } from '../config/schema.ts'
import { decodeValue, encodeValue, keys, type VolumeHead } from '../control/layout.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PeerIdentity } from '../replication/peer-network.ts'
import { openPeerBrick } from './local-peers.ts'
import { DiskWatch } from './watched-files.ts'

const TOKEN = 'holdfast-token'

describe('brick of a peer', () => {
  let directory: TemporaryDirectory
  let store: MetadataStore
  beforeEach(async () => {
    directory = temporaryDirectory('local-peers')
    store = await openEmbeddedStore({ directory: join(directory.path, 'metadata') })
    await initCluster(store, TOKEN)
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  /** Of its uuid and counter, as the peer would say who it is. */
  async function start(disk: string): Promise<Pick<PeerIdentity, 'brickUuid' | 'openCounter'>> {
    const cluster = await joined()
    const brick = await openPeerBrick({
      config: {
        data: join(directory.path, disk),
        capacity: 2 ** 30,
        store: { dirtyCap: 2 ** 20, checksumCache: 2 ** 20 },
      } as unknown as Config,
      cluster,
      metadata: store,
      bricks: 1,
      log: silentLog as never,
      aboveActiveTarget: () => {},
      hasOwners: false,
      disk: new DiskWatch(),
    })
    await brick[Symbol.asyncDispose]()
    return { brickUuid: brick.uuid, openCounter: brick.openCounter }
  }

  async function joined() {
    const { clusterId } = decodeCluster((await store.get(keys.cluster))!.value)
    return { clusterId, peerId: 'a', peerNumber: 1, founded: false }
  }
  const decodeCluster = (value: Buffer) => ({ clusterId: decodeValue('cluster', keys.cluster, value).id })

  const put = <K extends 'volume' | 'placement' | 'gonePeer'>(
    kind: K,
    key: string,
    value: Parameters<typeof encodeValue<K>>[1],
  ) => store.transact({ compare: [], success: [{ do: 'put', key, value: encodeValue(kind, value) }] })
  const peer = async () => decodeValue('peer', 'p/a', (await store.get(keys.peer('a')))!.value)
  const admit = () => admitPeer(store, { id: 'a', token: TOKEN })

  async function remove(): Promise<void> {
    const { number, brick } = await peer()
    await put('gonePeer', keys.gonePeer('a'), { number, ...(brick === undefined ? {} : { brick }) })
    await store.transact({ compare: [], success: [{ do: 'delete', key: keys.peer('a') }] })
  }

  test('one that is lost is made anew only once its peer was removed and let in again', async () => {
    await admit()
    const old = await start('old')
    await expect(start('new')).rejects.toThrow('there is no brick')
    await remove()
    await admit()
    const fresh = await start('new')
    expect(fresh.brickUuid).not.toBe(old.brickUuid)
    expect(await peer()).toMatchObject({ number: 1, brick: fresh.brickUuid })
    expect(await peer()).not.toHaveProperty('newBrick')
    expect(await store.get(keys.brick(old.brickUuid))).not.toBeNull()
    expect((await start('new')).brickUuid).toBe(fresh.brickUuid)
    rmSync(join(directory.path, 'new'), { recursive: true })
    await expect(start('new')).rejects.toThrow('there is no brick')
  })

  test('the old one of a peer that was removed and let in again is used as before', async () => {
    await admit()
    const old = await start('old')
    await remove()
    await admit()
    expect((await start('old')).brickUuid).toBe(old.brickUuid)
    await expect(start('new')).rejects.toThrow('there is no brick')
  })

  test('the old one stays out for good once the peer has a new one, of which it knows nothing', async () => {
    await admit()
    const old = await start('old')
    await remove()
    await admit()
    await start('new')
    await expect(start('old')).rejects.toMatchObject({ code: 'ERR_BRICK_STALE' })
    const from = { ...(await joined()), ...old } as unknown as PeerIdentity
    expect(await refuseIdentity(store, from.clusterId, from)).toContain('has another brick by now')
    await remove()
    await admit()
    await expect(start('old')).rejects.toMatchObject({ code: 'ERR_BRICK_STALE' })
    await start('newest')
    await expect(start('new')).rejects.toMatchObject({ code: 'ERR_BRICK_STALE' })
  })

  test('none is made anew while a volume counts on what is lost', async () => {
    await admit()
    const { brickUuid } = await start('old')
    await remove()
    await admit()
    const head = { uuid: 'u', state: 'ready', sizeBytes: 1, out: [] } as unknown as VolumeHead
    await put('volume', keys.head('demo'), head)
    await put('placement', keys.page('demo', 0), { ranges: [[1, 2]] })
    await expect(start('new')).rejects.toThrow(/there is no brick .* such as 'demo': recover or delete/)
    await put('volume', keys.head('demo'), { ...head, out: [{ uuid: brickUuid, since: 1, inSync: '00' }] })
    await start('new')
  })
})
