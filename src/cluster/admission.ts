import { randomUUID } from 'node:crypto'
import type { Cluster } from '../control/cluster.ts'
import { change, type Draft } from '../control/draft.ts'
import { EventSource } from '../control/events.ts'
import { type ClusterValue, keys, LAYOUT_VERSION, type PeerValue } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseName } from '../lib/names.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { hashToken, tokenMatches } from './token.ts'

/** Target portal group tags are 16 bits (RFC 7143 §13.9). */
const PEER_NUMBER_MAX = 0xffff
/** Who enters the events of an operator's command. */
const OPERATOR = 'operator'

/** Founds a cluster in metadata that has none. Rejects with ERR_CLUSTER_EXISTS. Answers its id. */
export async function initCluster(
  store: MetadataStore,
  token: string,
  now: () => number = Date.now,
): Promise<string> {
  const { result } = await change(store, new EventSource(now, OPERATOR), async draft => {
    const found = await draft.read('cluster', keys.cluster)
    if (found !== null) {
      throw new HoldfastError('ERR_CLUSTER_EXISTS', `etcd holds cluster ${found.id} already`)
    }
    const id = randomUUID()
    draft.put('cluster', keys.cluster, {
      layout: LAYOUT_VERSION,
      id,
      createdAt: new Date(now()).toISOString(),
      nextPeerNumber: 1,
      tokenHash: hashToken(token),
    })
    draft.event('cluster.founded', id, 'cluster founded')
    return id
  })
  return result
}

/** From now on joining needs this token. Rejects with ERR_CLUSTER_NOT_JOINED where there is no cluster. */
export async function replaceToken(
  store: MetadataStore,
  token: string,
  now: () => number = Date.now,
): Promise<void> {
  await change(store, new EventSource(now, OPERATOR), async draft => {
    const cluster = await readCluster(draft)
    draft.put('cluster', keys.cluster, { ...cluster, tokenHash: hashToken(token) })
    draft.event('cluster.token', cluster.id, 'the token for joining was replaced')
  })
}

/**
 * Lets a new peer in and gives it its number. Joining again under a known name is refused unless that peer has
 * never started, as its data is elsewhere, or was removed: then its disk may be a new one. Rejects with
 * ERR_CLUSTER_TOKEN, ERR_PEER_EXISTS, ERR_NAME_INVALID.
 */
export async function admitPeer(
  store: MetadataStore,
  peer: { readonly id: string; readonly token: string },
  now: () => number = Date.now,
): Promise<Cluster> {
  const id = parseName('peer', peer.id)
  const { result } = await change(store, new EventSource(now, id), async draft => {
    const cluster = await readCluster(draft)
    if (cluster.tokenHash === undefined || !tokenMatches(peer.token, cluster.tokenHash)) {
      throw new HoldfastError('ERR_CLUSTER_TOKEN')
    }
    const known = await draft.read('peer', keys.peer(id))
    if (known?.capacityBytes !== undefined) {
      const message = `there is a peer '${id}' already: choose another name, or remove that one first`
      throw new HoldfastError('ERR_PEER_EXISTS', message)
    }
    const gone = await draft.read('gonePeer', keys.gonePeer(id))
    const number = known?.number ?? gone?.number ?? cluster.nextPeerNumber
    if (number > PEER_NUMBER_MAX) {
      throw new HoldfastError('ERR_ARGUMENT_INVALID', `all ${PEER_NUMBER_MAX} peer numbers have been given`)
    }
    if (known === null) {
      if (gone === null) draft.put('cluster', keys.cluster, { ...cluster, nextPeerNumber: number + 1 })
      else draft.delete(keys.gonePeer(id))
      const again = gone === null ? {} : { ...gone, newBrick: true }
      draft.put('peer', keys.peer(id), { ...again, number, addresses: [], labels: {} })
      draft.event('peer.joined', id, `peer ${id} joined as number ${number}`)
    }
    return { clusterId: cluster.id, peerId: id, peerNumber: number, founded: false }
  })
  return result
}

/**
 * What a peer does at each start: it is still one of the cluster, and says where it is now. Rejects with
 * ERR_CLUSTER_NOT_JOINED when the metadata holds another cluster, or the peer was removed.
 */
export async function enterCluster(
  store: MetadataStore,
  peer: { readonly clusterId: string; readonly id: string } & Pick<PeerValue, 'addresses' | 'labels'>,
): Promise<Cluster> {
  const { clusterId, id, addresses, labels } = peer
  const { result } = await change(store, new EventSource(Date.now, id), async draft => {
    const cluster = await readCluster(draft)
    if (cluster.id !== clusterId) {
      const message = `this peer is of cluster ${clusterId}, and etcd holds cluster ${cluster.id}`
      throw new HoldfastError('ERR_CLUSTER_NOT_JOINED', message)
    }
    const known = await draft.read('peer', keys.peer(id))
    if (known === null) {
      throw new HoldfastError('ERR_CLUSTER_NOT_JOINED', `peer '${id}' was removed from the cluster`)
    }
    draft.put('peer', keys.peer(id), { ...known, addresses, labels })
    return { clusterId, peerId: id, peerNumber: known.number, founded: false }
  })
  return result
}

async function readCluster(draft: Draft): Promise<ClusterValue> {
  const cluster = await draft.read('cluster', keys.cluster)
  if (cluster === null) {
    throw new HoldfastError('ERR_CLUSTER_NOT_JOINED', 'etcd holds no cluster: run holdfast cluster init')
  }
  if (cluster.layout !== LAYOUT_VERSION) {
    const message = `the metadata has layout ${cluster.layout}, this version knows ${LAYOUT_VERSION}`
    throw new HoldfastError('ERR_METADATA_FORMAT', message)
  }
  return cluster
}
