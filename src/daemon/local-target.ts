import type { ServedTarget, TargetFactory } from '../control/ports.ts'
import type { IoStats } from '../lib/io-stats.ts'
import type { ItlNexus } from '../scsi/itl-nexus.ts'
import type { Nexus } from '../scsi/nexus.ts'
import type { DeviceIdentity } from '../scsi/standard-inquiry.ts'
import { TargetDevice, type UnitAssignment } from '../scsi/target-device.ts'
import { onlyLocalGroup, type TargetPortGroups } from '../scsi/target-port-groups.ts'

export interface TargetSettings {
  readonly identity: DeviceIdentity
  readonly reportNexusLoss: boolean
  /** See TargetDeviceOptions. */
  readonly restartToldUntilMs: number
}

/** The SCSI target devices of this daemon, known for as long as they have logical units. */
export class LocalTargets {
  /** Set before the first target is made, where there are other gateways. */
  portGroups: TargetPortGroups = onlyLocalGroup
  readonly #settings: TargetSettings
  readonly #targets = new Set<TargetDevice>()

  constructor(settings: TargetSettings) {
    this.#settings = settings
  }

  readonly make: TargetFactory = (iqn): ServedTarget => {
    const targets = this.#targets
    class LocalTarget extends TargetDevice implements ServedTarget {
      override setUnits(units: ReadonlyMap<number, UnitAssignment>): Promise<void> {
        if (units.size > 0) targets.add(this)
        else targets.delete(this)
        return super.setUnits(units)
      }
    }
    const { portGroups } = this
    return new LocalTarget({
      name: iqn,
      portGroups,
      copyPartners: nexus => this.#linksOf(nexus),
      ...this.#settings,
    })
  };

  /** Counters of every logical unit by its volume; a volume may be a unit of several targets. */
  *unitStats(): Generator<readonly [volume: string, stats: IoStats]> {
    for (const target of this.#targets) {
      for (const { volume, stats } of target.units) yield [volume.name, stats]
    }
  }

  /** What an initiator is logged in to, whichever the target. */
  *#linksOf(nexus: Nexus): Generator<ItlNexus> {
    for (const target of this.#targets) yield* target.linksOf(nexus)
  }
}
