import type { ClientIdentity } from '../volume/client-identity.ts'
import { type RegistrantName, registrantNames } from '../volume/reservations/reservation-state.ts'
import type { VolumeHandle } from '../volume/volume.ts'
import { CopyResults } from './copy/copy-results.ts'
import type { LogicalUnit } from './logical-unit.ts'
import type { Nexus } from './nexus.ts'
import type { SenseCode } from './sense.ts'
import { type Attention, AttentionQueue } from './unit-attention.ts'

/** One initiator port at one logical unit: an I_T_L nexus. SAM-5 §4.7. */
export class ItlNexus {
  readonly nexus: Nexus
  readonly unit: LogicalUnit
  readonly client: ClientIdentity
  /** The names under which this nexus may be registered. */
  readonly registrants: readonly RegistrantName[]
  readonly #attentions = new AttentionQueue()
  /** An error of a command that had been answered with GOOD, to be told with the next one. SPC-5 §4.4.6. */
  deferredError: SenseCode | null = null
  /** PREVENT ALLOW MEDIUM REMOVAL: nobody ejects while one nexus says so. SBC-4 §5.13. */
  preventsRemoval = false
  readonly copies = new CopyResults()
  #handle: VolumeHandle | null = null

  constructor(nexus: Nexus, unit: LogicalUnit, client: ClientIdentity) {
    this.nexus = nexus
    this.unit = unit
    this.client = client
    this.registrants = registrantNames(client)
  }

  /** The volume as this client sees it, opened when it is first needed. */
  get handle(): VolumeHandle {
    this.#handle ??= this.unit.volume.open(this.client)
    return this.#handle
  }

  get attentions(): AttentionQueue {
    return this.#attentions
  }

  establish(attention: Attention): void {
    this.#attentions.establish(attention)
  }

  /** Something has to be told before the next ordinary command is carried out. */
  get hasNews(): boolean {
    return !this.#attentions.isEmpty || this.deferredError !== null
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    await handle?.close()
  }
}
