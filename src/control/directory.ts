import { isIP, isIPv6 } from 'node:net'
import type {
  ChapPolicy,
  DiscoveredTarget,
  PortalAddress,
  PortalContact,
  TargetDirectory,
  TargetLookup,
} from '../iscsi-target/target-directory.ts'
import { normalizeIscsiName } from '../lib/names.ts'
import type { Catalogue } from './catalogue.ts'
import { policyOf } from './chap-rules.ts'
import type { TargetValue } from './layout.ts'
import type { Portal } from './ports.ts'
import type { Serving } from './serving.ts'

/** `ip:port` or `[ip6]:port` in its parts. */
function splitAddress(address: string): { ip: string; port: string } {
  const at = address.lastIndexOf(':')
  return { ip: address.slice(0, at).replace(/^\[|\]$/g, ''), port: address.slice(at + 1) }
}

function joinAddress(ip: string, port: string): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`
}

const WILDCARDS: readonly string[] = ['0.0.0.0', '::']

/** An IPv4 client of a dual-stack socket shows up as ::ffff:a.b.c.d. */
function unmapped(ip: string): string {
  const v4 = ip.toLowerCase().startsWith('::ffff:') ? ip.slice('::ffff:'.length) : ''
  return isIP(v4) === 4 ? v4 : ip
}

/**
 * How a portal is told to a client: its advertised address, else where it listens, and for a wildcard the ip
 * that the client dialled (`localAddress`) with that portal's port; null when that ip is not one of its kind.
 */
export function reachableAddress(portal: Portal, localAddress: string): string | null {
  if (portal.advertised !== null) return portal.advertised
  const { ip, port } = splitAddress(portal.address)
  if (!WILDCARDS.includes(ip)) return portal.address
  const dialled = unmapped(splitAddress(localAddress).ip)
  if (isIPv6(dialled) && ip === '0.0.0.0') return null
  return joinAddress(dialled, port)
}

/** May the initiator log in to the target? */
function mayUse(target: TargetValue, initiatorName: string): boolean {
  return target.openToAll || target.acl.includes(initiatorName)
}

/** Answers logins and SendTargets from the catalogue and from what is open here. */
export class CatalogueDirectory implements TargetDirectory {
  readonly targetPortalGroupTag: number
  readonly #catalogue: Catalogue
  readonly #serving: Serving
  readonly #portals: () => readonly Portal[]

  constructor(
    catalogue: Catalogue,
    serving: Serving,
    portals: () => readonly Portal[],
    targetPortalGroupTag: number,
  ) {
    this.#catalogue = catalogue
    this.#serving = serving
    this.#portals = portals
    this.targetPortalGroupTag = targetPortalGroupTag
  }

  discover(initiatorName: string, name: string | null, contact: PortalContact): readonly DiscoveredTarget[] {
    const initiator = normalizeIscsiName(initiatorName) ?? initiatorName
    const { model } = this.#catalogue
    const wanted = name === null ? model.targetNames : [normalizeIscsiName(name) ?? name]
    const portals = this.#portalsFor(contact)
    return wanted
      .filter(iqn => {
        const target = model.target(iqn)
        return target !== null && mayUse(target, initiator)
      })
      .map(iqn => ({ name: iqn, portals }))
  }

  lookUp(targetName: string, initiatorName: string): TargetLookup {
    if (!this.#catalogue.current) return { found: 'unavailable' }
    const iqn = normalizeIscsiName(targetName)
    const target = iqn === null ? null : this.#catalogue.model.target(iqn)
    if (iqn === null || target === null) return { found: 'no' }
    const initiator = normalizeIscsiName(initiatorName) ?? initiatorName
    if (!mayUse(target, initiator)) return { found: 'forbidden' }
    const device = this.#serving.target(iqn)
    if (device === null) return { found: 'unavailable' }
    // The name comes from the network: 'constructor' must not find anything.
    const own = Object.hasOwn(target.chapByInitiator, initiator)
    const chap = own ? target.chapByInitiator[initiator]! : target.chap
    return { found: 'yes', target: device, chap: chap === null ? null : policyOf(chap) }
  }

  discoveryChap(): ChapPolicy | null {
    const chap = this.#catalogue.model.discoveryChap
    return chap === null ? null : policyOf(chap)
  }

  #portalsFor(contact: PortalContact): PortalAddress[] {
    const addresses = new Set<string>()
    // First the portal that was dialled: initiators that take the first one take what works.
    const ordered = [...this.#portals()].sort(
      (a, b) => Number(b.listener === contact.listener) - Number(a.listener === contact.listener),
    )
    for (const portal of ordered) {
      const address = reachableAddress(portal, contact.localAddress)
      if (address !== null) addresses.add(address)
    }
    return [...addresses].map(address => ({ address, portalGroupTag: this.targetPortalGroupTag }))
  }
}
