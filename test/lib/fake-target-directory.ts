import type {
  ChapPolicy,
  DiscoveredTarget,
  PortalContact,
  TargetDirectory,
  TargetLookup,
} from '../../src/iscsi-target/target-directory.ts'
import type { ScsiTarget } from '../../src/scsi/scsi-target.ts'

/** Targets of a test, open to all unless said otherwise. */
export class FakeTargetDirectory implements TargetDirectory {
  readonly targetPortalGroupTag = 1
  readonly targets = new Map<string, ScsiTarget>()
  metadataAnswers = true
  chap: ChapPolicy | null = null
  discoveryPolicy: ChapPolicy | null = null

  constructor(...targets: ScsiTarget[]) {
    for (const target of targets) this.targets.set(target.name, target)
  }

  discover(_initiatorName: string, name: string | null, contact: PortalContact): readonly DiscoveredTarget[] {
    const portals = [{ address: contact.localAddress, portalGroupTag: this.targetPortalGroupTag }]
    return [...this.targets.keys()]
      .filter(each => name === null || each === name)
      .map(each => ({ name: each, portals }))
  }

  lookUp(targetName: string): TargetLookup {
    const target = this.targets.get(targetName)
    return target === undefined ? { found: 'no' } : { found: 'yes', target, chap: this.chap }
  }

  async isAbsent(targetName: string): Promise<boolean> {
    return this.metadataAnswers && !this.targets.has(targetName)
  }

  discoveryChap(): ChapPolicy | null {
    return this.discoveryPolicy
  }
}
