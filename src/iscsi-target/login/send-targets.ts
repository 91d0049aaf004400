import type { DiscoveredTarget, PortalContact, TargetDirectory } from '../target-directory.ts'
import type { KeyValue } from '../text/key-value.ts'
import { REJECT } from '../text/values.ts'
import type { LoginIdentity } from './login-outcome.ts'

export const SEND_TARGETS = 'SendTargets'
const ALL = 'All'
const OWN_TARGET = ''

/**
 * The answer to SendTargets: All and names in a discovery session, in a normal one only its own target, by
 * name or by an empty value. RFC 7143 Appendix C.
 */
export function answerSendTargets(
  value: string,
  { sessionType, initiatorName, target }: LoginIdentity,
  directory: TargetDirectory,
  contact: PortalContact,
): readonly KeyValue[] {
  const discovery = sessionType === 'discovery'
  const own = target !== null && (value === OWN_TARGET || value === target.name)
  if (discovery ? value === OWN_TARGET : !own) return [{ key: SEND_TARGETS, value: REJECT }]
  const name = target === null ? value : target.name
  return directory
    .discover(initiatorName, discovery && value === ALL ? null : name, contact)
    .flatMap(describe)
}

function describe({ name, portals }: DiscoveredTarget): readonly KeyValue[] {
  const addresses = portals.map(({ address, portalGroupTag }) => ({
    key: 'TargetAddress',
    value: `${address},${portalGroupTag}`,
  }))
  return [{ key: 'TargetName', value: name }, ...addresses]
}
