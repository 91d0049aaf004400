import type { MetadataStore } from '../metadata/metadata-store.ts'

export interface OwnPeer {
  /** [a-z0-9][a-z0-9.-]{0,127} */
  readonly id: string
  readonly addresses: readonly string[]
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

/** Founds the cluster in empty metadata, or joins it, and enters or refreshes this peer's record. */
export declare function joinCluster(store: MetadataStore, peer: OwnPeer): Promise<Cluster>

/**
 * Raises the brick's open counter in the metadata (PROTOCOL rule 1). Rejects with ERR_BRICK_STALE when the
 * metadata has seen this or a higher counter: the brick was cloned or restored.
 */
export declare function checkInBrick(
  store: MetadataStore,
  brick: { readonly uuid: string; readonly openCounter: number },
  peerId: string,
): Promise<void>
