import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type TemporaryDirectory, temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { decodeValue, encodeValue, keys } from '../control/layout.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { admitPeer, enterCluster, initCluster, replaceToken } from './admission.ts'
import { readClusterFile, writeClusterFile } from './cluster-file.ts'
import { hashToken, makeToken } from './token.ts'

const TOKEN = makeToken(length => Buffer.alloc(length, 7))

describe('admission', () => {
  let directory: TemporaryDirectory
  let store: MetadataStore
  beforeEach(async () => {
    directory = temporaryDirectory('admission')
    store = await openEmbeddedStore({ directory: directory.path })
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  test('init: founds a cluster once, and keeps of the token only its hash', async () => {
    const id = await initCluster(store, TOKEN)
    await expect(initCluster(store, TOKEN)).rejects.toMatchObject({ code: 'ERR_CLUSTER_EXISTS' })
    const { value } = (await store.get(keys.cluster))!
    expect(decodeValue('cluster', keys.cluster, value)).toMatchObject({ id, tokenHash: hashToken(TOKEN) })
    expect(value.toString()).not.toContain(TOKEN)
  })

  test('join: needs the token of now, and gives each peer a number of its own', async () => {
    const id = await initCluster(store, TOKEN)
    const join = (peer: string, token = TOKEN) => admitPeer(store, { id: peer, token })
    await expect(join('a', 'holdfast-guess')).rejects.toMatchObject({ code: 'ERR_CLUSTER_TOKEN' })
    expect(await join('a')).toMatchObject({ clusterId: id, peerNumber: 1 })
    await replaceToken(store, 'holdfast-other')
    await expect(join('b')).rejects.toMatchObject({ code: 'ERR_CLUSTER_TOKEN' })
    expect(await join('b', 'holdfast-other')).toMatchObject({ peerNumber: 2 })
    // Whoever was interrupted after joining joins again; who has data has it elsewhere.
    expect(await join('a', 'holdfast-other')).toMatchObject({ peerNumber: 1 })
    const started = { number: 1, addresses: [], labels: {}, capacityBytes: 1 }
    await store.transact({
      compare: [],
      success: [{ do: 'put', key: keys.peer('a'), value: encodeValue('peer', started) }],
    })
    await expect(join('a', 'holdfast-other')).rejects.toMatchObject({ code: 'ERR_PEER_EXISTS' })
  })

  test('join: a peer that was removed gets the number that it had, and nobody else does', async () => {
    await initCluster(store, TOKEN)
    const join = (peer: string) => admitPeer(store, { id: peer, token: TOKEN })
    expect(await join('a')).toMatchObject({ peerNumber: 1 })
    const put = { do: 'put', key: keys.gonePeer('a'), value: encodeValue('gonePeer', { number: 1 }) } as const
    await store.transact({ compare: [], success: [{ do: 'delete', key: keys.peer('a') }, put] })
    expect(await join('b')).toMatchObject({ peerNumber: 2 })
    expect(await join('a')).toMatchObject({ peerNumber: 1 })
    expect(await store.get(keys.gonePeer('a'))).toBeNull()
    const readmitted = decodeValue('peer', 'p/a', (await store.get(keys.peer('a')))!.value)
    expect(readmitted).toMatchObject({ number: 1, newBrick: true })
    expect(await join('c')).toMatchObject({ peerNumber: 3 })
  })

  test('join: where there is no cluster the sentence says what to do', async () => {
    await expect(admitPeer(store, { id: 'a', token: TOKEN })).rejects.toThrow('holdfast cluster init')
  })

  test('enter: a peer of another cluster, and one that was removed, stay out', async () => {
    const clusterId = await initCluster(store, TOKEN)
    await admitPeer(store, { id: 'a', token: TOKEN })
    const enter = (id: string, cluster = clusterId) =>
      enterCluster(store, { clusterId: cluster, id, addresses: ['127.0.0.1:1'], labels: { zone: 'z' } })
    expect(await enter('a')).toMatchObject({ peerId: 'a', peerNumber: 1 })
    const value = (await store.get(keys.peer('a')))!.value
    expect(decodeValue('peer', 'p/a', value)).toMatchObject({ number: 1, labels: { zone: 'z' } })
    await expect(enter('a', 'other')).rejects.toMatchObject({ code: 'ERR_CLUSTER_NOT_JOINED' })
    await expect(enter('b')).rejects.toThrow("peer 'b' was removed")
  })

  test('cluster file: read as it was written, and anything else is refused', async () => {
    expect(await readClusterFile(directory.path)).toBeNull()
    await writeClusterFile(directory.path, { clusterId: 'c', peer: 'a' })
    expect(await readClusterFile(directory.path)).toEqual({ clusterId: 'c', peer: 'a' })
    await writeClusterFile(directory.path, { clusterId: 'c', peer: 7 as unknown as string })
    await expect(readClusterFile(directory.path)).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
  })
})
