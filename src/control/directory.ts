import type {
  ChapPolicy,
  DiscoveredTarget,
  PortalContact,
  TargetDirectory,
  TargetLookup,
} from '../iscsi-target/target-directory.ts'
import { normalizeIscsiName } from '../lib/names.ts'
import type { Catalogue } from './catalogue.ts'
import { policyOf } from './chap-rules.ts'
import type { ClusterPortals } from './cluster-portals.ts'
import { keys, type TargetValue } from './layout.ts'
import type { Serving } from './serving.ts'

/** May the initiator log in to the target? */
function mayUse(target: TargetValue, initiatorName: string): boolean {
  return target.openToAll || target.acl.includes(initiatorName)
}

/** Answers logins and SendTargets from the catalogue and from what is open here. */
export class CatalogueDirectory implements TargetDirectory {
  readonly targetPortalGroupTag: number
  readonly #catalogue: Catalogue
  readonly #serving: Serving
  readonly #portals: ClusterPortals

  constructor(catalogue: Catalogue, serving: Serving, portals: ClusterPortals) {
    this.#catalogue = catalogue
    this.#serving = serving
    this.#portals = portals
    this.targetPortalGroupTag = portals.peerNumber
  }

  discover(initiatorName: string, name: string | null, contact: PortalContact): readonly DiscoveredTarget[] {
    const initiator = normalizeIscsiName(initiatorName) ?? initiatorName
    const { model } = this.#catalogue
    const wanted = name === null ? model.targetNames : [normalizeIscsiName(name) ?? name]
    const portals = this.#portals.reachableFrom(contact)
    return wanted
      .filter(iqn => {
        const target = model.target(iqn)
        return target !== null && mayUse(target, initiator)
      })
      .map(iqn => ({ name: iqn, portals }))
  }

  lookUp(targetName: string, initiatorName: string, contact: PortalContact): TargetLookup {
    const { model, current, complete } = this.#catalogue
    if (!current) return { found: 'unavailable' }
    const iqn = normalizeIscsiName(targetName)
    const target = iqn === null ? null : model.target(iqn)
    if (iqn === null || target === null) return { found: complete ? 'no' : 'unavailable' }
    const initiator = normalizeIscsiName(initiatorName) ?? initiatorName
    if (!mayUse(target, initiator)) return { found: 'forbidden' }
    const device = this.#serving.target(iqn)
    if (device === null) return { found: 'unavailable' }
    const address = this.#portals.elsewhere(target, initiator, contact)
    if (address !== null && !this.#isRegisteredHere(target, initiator)) return { found: 'moved', address }
    // The name comes from the network: 'constructor' must not find anything.
    const own = Object.hasOwn(target.chapByInitiator, initiator)
    const chap = own ? target.chapByInitiator[initiator]! : target.chap
    return { found: 'yes', target: device, chap: chap === null ? null : policyOf(chap) }
  }

  /**
   * The initiator has registered with PERSISTENT RESERVE OUT through this gateway's port. Its registration does not hold
   * at another one: sent there it would hear RESERVATION CONFLICT, which hosts pass on to whoever writes.
   */
  #isRegisteredHere({ luns }: TargetValue, initiator: string): boolean {
    const registrations = luns.flatMap(({ volume }) => {
      return this.#serving.volume(volume)?.reservations.state.registrations ?? []
    })
    return registrations.some(({ initiatorName, targetPortalGroupTag }) => {
      const isHere = targetPortalGroupTag === this.targetPortalGroupTag
      return isHere && normalizeIscsiName(initiatorName) === initiator
    })
  }

  async isAbsent(targetName: string): Promise<boolean> {
    const iqn = normalizeIscsiName(targetName)
    return iqn === null || this.#catalogue.isAbsent(keys.target(iqn))
  }

  discoveryChap(): ChapPolicy | null {
    const chap = this.#catalogue.model.discoveryChap
    return chap === null ? null : policyOf(chap)
  }
}
