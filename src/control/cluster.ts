import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { parseName } from '../lib/names.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { change } from './draft.ts'
import { EventSource } from './events.ts'
import { keys, LAYOUT_VERSION } from './layout.ts'

export interface OwnPeer {
  /** [a-z0-9][a-z0-9.-]{0,127} */
  readonly id: string
  readonly addresses: readonly string[]
  /** `host` names a failure domain; a peer without it is a host of its own. */
  readonly labels: Readonly<Record<string, string>>
}

export interface Cluster {
  readonly clusterId: string
  readonly peerId: string
  /** Given once per peer: target portal group tag and relative port id. */
  readonly peerNumber: number
  /** The metadata was empty: this call founded the cluster. */
  readonly founded: boolean
}

/** Target portal group tags are 16 bits (RFC 7143 §13.9). */
const PEER_NUMBER_MAX = 0xffff

/**
 * Founds the cluster in empty metadata, or joins it, and enters or refreshes this peer's record. Rejects with
 * ERR_METADATA_FORMAT when the metadata is of a newer layout, ERR_NAME_INVALID for the peer's id.
 */
export async function joinCluster(
  store: MetadataStore,
  peer: OwnPeer,
  now: () => number = Date.now,
): Promise<Cluster> {
  const id = parseName('peer', peer.id)
  const events = new EventSource(now, id)
  const { result } = await change(store, events, async draft => {
    const found = await draft.read('cluster', keys.cluster)
    if (found !== null && found.layout !== LAYOUT_VERSION) {
      const message = `the metadata has layout ${found.layout}, this version knows ${LAYOUT_VERSION}`
      throw new HoldfastError('ERR_METADATA_FORMAT', message)
    }
    const cluster = found ?? {
      layout: LAYOUT_VERSION,
      id: randomUUID(),
      createdAt: new Date(now()).toISOString(),
      nextPeerNumber: 1,
    }
    if (found === null) draft.event('cluster.founded', cluster.id, 'cluster founded')
    const known = await draft.read('peer', keys.peer(id))
    const number = known?.number ?? cluster.nextPeerNumber
    if (number > PEER_NUMBER_MAX) {
      throw new HoldfastError('ERR_ARGUMENT_INVALID', `all ${PEER_NUMBER_MAX} peer numbers have been given`)
    }
    if (known === null) {
      draft.put('cluster', keys.cluster, { ...cluster, nextPeerNumber: number + 1 })
      draft.event('peer.joined', id, `peer ${id} joined as number ${number}`)
    }
    draft.put('peer', keys.peer(id), { ...known, number, addresses: peer.addresses, labels: peer.labels })
    return { clusterId: cluster.id, peerId: id, peerNumber: number, founded: found === null }
  })
  return result
}

/**
 * Raises the brick's open counter in the metadata (PROTOCOL rule 1). Rejects with ERR_BRICK_STALE when the
 * metadata has seen this or a higher counter: the brick was cloned or restored. So it does for one in whose place the peer
 * has got another one: that is behind, and nothing says by how much.
 */
export async function checkInBrick(
  store: MetadataStore,
  brick: { readonly uuid: string; readonly openCounter: number },
  peerId: string,
): Promise<void> {
  const events = new EventSource(Date.now, peerId)
  await change(store, events, async draft => {
    const known = await draft.read('brick', keys.brick(brick.uuid))
    if (known !== null && known.openCounter >= brick.openCounter) {
      throw new HoldfastError(
        'ERR_BRICK_STALE',
        `brick ${brick.uuid} says it was opened ${brick.openCounter} times, the metadata has seen ` +
          `${known.openCounter}: it is a copy or was restored from one`,
      )
    }
    const peer = await draft.read('peer', keys.peer(peerId))
    const isOther = peer?.brick !== undefined && peer.brick !== brick.uuid
    if (isOther && !(peer.newBrick === true && known === null)) {
      const message = `brick ${brick.uuid} is not the one that peer '${peerId}' has by now, ${peer.brick}`
      throw new HoldfastError('ERR_BRICK_STALE', message)
    }
    if (peer?.newBrick === true) {
      const { newBrick: _, ...rest } = peer
      draft.put('peer', keys.peer(peerId), { ...rest, brick: brick.uuid })
    }
    draft.put('brick', keys.brick(brick.uuid), { peer: peerId, openCounter: brick.openCounter })
  })
}

/** What the peer's brick may hold: its weight in placement. Written when it has changed. */
export async function recordCapacity(
  store: MetadataStore,
  peerId: string,
  capacityBytes: number,
): Promise<void> {
  await change(store, new EventSource(Date.now, peerId), async draft => {
    const known = await draft.read('peer', keys.peer(peerId))
    if (known === null || known.capacityBytes === capacityBytes) return
    draft.put('peer', keys.peer(peerId), { ...known, capacityBytes })
  })
}
