import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PeerIdentity } from '../replication/peer-network.ts'
import { refuseIdentity } from './peer-identity.ts'

/**
 * Lets another daemon in that the metadata knows as what it says it is. While the metadata cannot be read, who was
 * let in before and is the same process still is: links must heal without etcd. PROTOCOL rules 1 and 24.
 */
export class PeerAdmission {
  readonly #metadata: MetadataStore
  readonly #clusterId: string
  /** By peer: the process that was let in last. */
  readonly #admitted = new Map<string, string>()

  constructor(metadata: MetadataStore, clusterId: string) {
    this.#metadata = metadata
    this.#clusterId = clusterId
  }

  /** `certificateName` null without TLS. Rejects with ERR_PEER_REFUSED, or ERR_METADATA_UNAVAILABLE. */
  async admit(from: PeerIdentity, certificateName: string | null): Promise<void> {
    if (certificateName !== null && certificateName !== from.peerId) {
      refuse(from, `its certificate is that of '${certificateName}'`)
    }
    const process = `${from.incarnation} ${from.brickUuid} ${from.openCounter}`
    try {
      const reason = await refuseIdentity(this.#metadata, this.#clusterId, from)
      if (reason !== null) refuse(from, reason)
    } catch (error) {
      const isSilent = error instanceof HoldfastError && error.code === 'ERR_METADATA_UNAVAILABLE'
      if (!isSilent || this.#admitted.get(from.peerId) !== process) throw error
    }
    this.#admitted.set(from.peerId, process)
  }
}

function refuse({ peerId }: PeerIdentity, reason: string): never {
  throw new HoldfastError('ERR_PEER_REFUSED', `peer '${peerId}' is refused: ${reason}`)
}
