import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { admitPeer, initCluster, replaceToken } from '../cluster/admission.ts'
import { readClusterFile, writeClusterFile } from '../cluster/cluster-file.ts'
import { makeToken } from '../cluster/token.ts'
import type { Config } from '../config/schema.ts'
import type { Cluster } from '../control/cluster.ts'
import { decodeValue, keys, type PeerValue } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { embeddedMetadata, openMetadata } from './metadata.ts'

/** Founds a cluster in etcd. The token that it answers is kept nowhere else. */
export async function foundCluster(config: Config): Promise<{ clusterId: string; token: string }> {
  const token = makeToken(randomBytes)
  return withEtcd(config, async store => ({ clusterId: await initCluster(store, token), token }))
}

/** A new token; the old one is worth nothing from then on. */
export async function renewToken(config: Config): Promise<{ token: string }> {
  const token = makeToken(randomBytes)
  return withEtcd(config, async store => {
    await replaceToken(store, token)
    return { token }
  })
}

/**
 * Makes the data directory that of a peer of the cluster. One that has joined under this name already stays as it
 * is, whatever the token: it need not be known on every start. One that was removed needs it again.
 */
export async function joinWithToken(config: Config, token: string): Promise<Cluster> {
  const { name } = config.peer
  if (name === null) {
    throw new HoldfastError('ERR_CONFIG_INVALID', 'joining needs a name for this peer: give --peer-name')
  }
  const before = await readClusterFile(config.data)
  if (before !== null && before.peer !== name) {
    const message = `${config.data} is that of peer '${before.peer}' already`
    throw new HoldfastError('ERR_CLUSTER_EXISTS', message)
  }
  if (existsSync(embeddedMetadata(config))) {
    const message = `${config.data} holds volumes of a daemon of its own: choose another directory with --data`
    throw new HoldfastError('ERR_CLUSTER_EXISTS', message)
  }
  return withEtcd(config, async store => {
    const known = before === null ? null : await knownPeer(store, name)
    if (before !== null && known !== null) {
      return { clusterId: before.clusterId, peerId: name, peerNumber: known.number, founded: false }
    }
    if (before !== null && (await clusterIdIn(store)) !== before.clusterId) {
      const message = `${config.data} is that of a peer of cluster ${before.clusterId}, which is not the one in etcd`
      throw new HoldfastError('ERR_CLUSTER_EXISTS', message)
    }
    const cluster = await admitPeer(store, { id: name, token })
    await writeClusterFile(config.data, { clusterId: cluster.clusterId, peer: name })
    return cluster
  })
}

async function clusterIdIn(store: MetadataStore): Promise<string | null> {
  const entry = await store.get(keys.cluster)
  return entry === null ? null : decodeValue('cluster', entry.key, entry.value).id
}

async function knownPeer(store: MetadataStore, id: string): Promise<PeerValue | null> {
  const entry = await store.get(keys.peer(id))
  return entry === null ? null : decodeValue('peer', entry.key, entry.value)
}

async function withEtcd<T>(config: Config, work: (store: MetadataStore) => Promise<T>): Promise<T> {
  if (config.etcd.urls.length === 0) {
    throw new HoldfastError('ERR_CONFIG_INVALID', 'a cluster of several daemons needs etcd: give --etcd URL')
  }
  const attempter = `operator-${randomUUID()}`
  const { settled, store } = await openMetadata(config, attempter)
  try {
    const result = await work(settled)
    await store.transact({ compare: [], success: [{ do: 'delete', key: keys.attempt(attempter) }] })
    return result
  } finally {
    await settled[Symbol.asyncDispose]()
  }
}
