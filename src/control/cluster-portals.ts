import { isIP, isIPv6 } from 'node:net'
import type { PortalAddress, PortalContact } from '../iscsi-target/target-directory.ts'
import { crc32c } from '../lib/crc32c.ts'
import type { Catalogue } from './catalogue.ts'
import type { RegistrationValue, TargetValue } from './layout.ts'
import type { Portal } from './ports.ts'

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

/** iSCSI portals of all daemons that are up: those of this one as clients reach them, others as they are told. */
export class ClusterPortals {
  /** The small number of this daemon's peer: its portal group tag. */
  readonly peerNumber: number
  readonly #catalogue: Catalogue
  readonly #own: () => readonly Portal[]

  constructor(catalogue: Catalogue, own: () => readonly Portal[], peerNumber: number) {
    this.#catalogue = catalogue
    this.#own = own
    this.peerNumber = peerNumber
  }

  /** For SendTargets: the portal that was dialled first, as initiators that take one take what works. */
  reachableFrom(contact: PortalContact): PortalAddress[] {
    const ordered = [...this.#own()].sort(
      (a, b) => Number(b.listener === contact.listener) - Number(a.listener === contact.listener),
    )
    const own = ordered.flatMap(portal => reachableAddress(portal, contact.localAddress) ?? [])
    return [
      ...[...new Set(own)].map(address => ({ address, portalGroupTag: this.peerNumber })),
      ...this.#others().flatMap(({ number, portals }) =>
        portals.map(address => ({ address, portalGroupTag: number })),
      ),
    ]
  }

  /** As reachableFrom, for a client whose connection came in at the address `dialled`, without the tags. */
  dialledFrom(dialled: string): string[] {
    return this.reachableFrom({ listener: 0, localAddress: dialled }).map(({ address }) => address)
  }

  /**
   * While this peer is drained: the portal of another one that a login should turn to, the owner of the target's
   * first volume before all others; null while it is not, or where there is no other.
   */
  elsewhere(target: TargetValue, initiator: string, { listener }: PortalContact): string | null {
    if (!this.isDraining) return null
    const others = this.#others()
    const owner = this.#ownerOf(target)
    const chosen =
      others.find(({ number }) => number === owner) ?? others[crc32c(Buffer.from(initiator)) % others.length]
    return chosen === undefined ? null : (chosen.portals[listener] ?? chosen.portals[0]!)
  }

  /** Whether this peer is drained and clients have somewhere else to go. */
  get sendsAway(): boolean {
    return this.isDraining && this.#others().length > 0
  }

  get isDraining(): boolean {
    const { peers } = this.#catalogue.model
    return peers.find(({ value }) => value.number === this.peerNumber)?.value.draining === true
  }

  #ownerOf({ luns }: TargetValue): number | null {
    const [first] = [...luns].sort((a, b) => a.lun - b.lun)
    return first === undefined ? null : (this.#catalogue.model.owner(first.volume)?.number ?? null)
  }

  /** Up, not drained, with a portal that can be dialled from elsewhere. */
  #others(): Pick<RegistrationValue, 'number' | 'portals'>[] {
    const { model } = this.#catalogue
    return model.peers.flatMap(({ id, value }) => {
      const registration = model.registration(id)
      if (registration === null || value.draining === true || value.number === this.peerNumber) return []
      const portals = registration.portals.filter(address => !WILDCARDS.includes(splitAddress(address).ip))
      return portals.length === 0 ? [] : [{ number: value.number, portals }]
    })
  }
}
