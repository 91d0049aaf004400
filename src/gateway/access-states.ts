import type { Replication } from '../replication/replication.ts'
import { AccessState, type TargetPortGroup, type TargetPortGroups } from '../scsi/target-port-groups.ts'

/**
 * The gateways as target port groups: the owner's is the one to use, the others pass operations on to it. PROTOCOL
 * and DESIGN promise 9; SPC-5 §5.18. `gateways` answers the small numbers of the peers that serve clients.
 *
 * While nobody owns the volume all are active/non-optimized, and commands wait. In transition, Linux 5.10 to 5.18 fails
 * them, and after IMPLICIT TRANSITION TIME every Linux takes the path for standby, until something else makes it ask again.
 */
export function gatewayPortGroups(
  ownerships: Pick<Replication, 'owner'>,
  gateways: () => readonly number[],
): TargetPortGroups {
  return {
    groupsOf({ name }, localId): readonly TargetPortGroup[] {
      const owner = ownerships.owner(name)?.number ?? null
      const ids = new Set([...gateways(), localId])
      return [...ids]
        .sort((a, b) => a - b)
        .map(id => ({ id, state: id === owner ? activeOptimized : activeNonOptimized }))
    },
  }
}

const { activeOptimized, activeNonOptimized } = AccessState
