import type { VolumeHead } from '../../../src/control/layout.ts'
import type { Replication, VolumeServer } from '../../../src/replication/replication.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import type { OwnedVolume } from '../../../src/volume/owned-volume.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import type { ClientConnection } from './sim-peer.ts'

/** How clients reach the volumes: what is served to them while this daemon owns one, or wherever it is owned. */
export interface Front extends VolumeServer {
  /** Answers the handler of whatever comes over the network. */
  join(replication: Replication): Replication['handler']
  login(volume: string, client: ClientIdentity, connection: ClientConnection): Promise<VolumeHandle>
  /** PERSISTENT RESERVE OUT. Rejects when whether it was carried out is unknown. */
  reserve(
    volume: string,
    client: ClientIdentity,
    action: ReservationAction,
  ): Promise<'done' | ReservationRefusal>
  /** SANITIZE: false while one runs already. Rejects when whether it was begun is unknown. */
  sanitize(volume: string, order: SanitizeOrder): Promise<boolean>
  /** What the catalogue says of a volume now. */
  follow(name: string, head: VolumeHead): void
  /** Null: it is not served here. */
  ownedVolume(name: string): OwnedVolume | null
}
