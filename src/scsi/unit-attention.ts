import type { SenseCode } from './sense.ts'

/** The unit attention conditions that this device server establishes. SAM-5 §5.14, SPC-5 annex F. */
export const Attention = {
  mediumMayHaveChanged: [0x6, 0x28, 0x00],
  powerOn: [0x6, 0x29, 0x00],
  poweredOn: [0x6, 0x29, 0x01],
  scsiBusReset: [0x6, 0x29, 0x02],
  busDeviceReset: [0x6, 0x29, 0x03],
  modeParametersChanged: [0x6, 0x2a, 0x01],
  reservationsPreempted: [0x6, 0x2a, 0x03],
  reservationsReleased: [0x6, 0x2a, 0x04],
  registrationsPreempted: [0x6, 0x2a, 0x05],
  asymmetricAccessStateChanged: [0x6, 0x2a, 0x06],
  capacityDataHasChanged: [0x6, 0x2a, 0x09],
  commandsClearedByAnotherInitiator: [0x6, 0x2f, 0x00],
  thinProvisioningSoftThresholdReached: [0x6, 0x38, 0x07],
  reportedLunsDataHasChanged: [0x6, 0x3f, 0x0e],
} as const satisfies Record<string, SenseCode>
export type Attention = (typeof Attention)[keyof typeof Attention]

const RESET_ASC = 0x29

/**
 * Unit attention conditions pending for one I_T nexus at one logical unit: each kind once, resets before all
 * others, the rest in the order in which they arose. SAM-5 §5.14.4.
 */
export class AttentionQueue {
  #pending: Attention[] = []

  get isEmpty(): boolean {
    return this.#pending.length === 0
  }

  establish(attention: Attention): void {
    if (this.#pending.includes(attention)) return
    if (attention[1] !== RESET_ASC) this.#pending.push(attention)
    // A reset takes the place of a lesser or equal one: the initiator has to start over anyway.
    else this.#pending = [attention, ...this.#pending.filter(other => other[1] !== RESET_ASC)]
  }

  /** The condition to report now, or null. It stays pending. */
  peek(): Attention | null {
    return this.#pending[0] ?? null
  }

  /** The condition to report now, no longer pending once taken. */
  take(): Attention | null {
    return this.#pending.shift() ?? null
  }

  clear(attention: Attention): void {
    this.#pending = this.#pending.filter(other => other !== attention)
  }
}
