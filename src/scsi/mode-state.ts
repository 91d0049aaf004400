import type { SpaceThreshold } from './space-threshold.ts'

/**
 * What initiators set with MODE SELECT, of one logical unit and for all nexuses alike. Not saved: a reset or
 * a start of the daemon brings the defaults back.
 */
export class ModeState {
  /** WCE: off, every write is durable before it is answered. SBC-4 §6.5.6. */
  writeCacheEnabled = true
  /** D_SENSE. SPC-5 §7.5.9. */
  descriptorSense = false
  /** SWP. SPC-5 §7.5.9. */
  softwareWriteProtect = false
  /** TAS: commands that others' doing aborts are answered, so that their initiators need not wait for them in vain. */
  taskAbortedStatus = true
  /** null: the default, which follows the store. SBC-4 §6.5.9. */
  spaceThreshold: SpaceThreshold | null = null

  become(other: ModeState): void {
    this.writeCacheEnabled = other.writeCacheEnabled
    this.descriptorSense = other.descriptorSense
    this.softwareWriteProtect = other.softwareWriteProtect
    this.taskAbortedStatus = other.taskAbortedStatus
    this.spaceThreshold = other.spaceThreshold
  }

  copy(): ModeState {
    const copy = new ModeState()
    copy.become(this)
    return copy
  }

  reset(): void {
    this.become(new ModeState())
  }
}
