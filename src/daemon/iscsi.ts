import { formatHostPort, type HostPort } from '../config/host-port.ts'
import type { CHAP_ALGORITHMS, Config } from '../config/schema.ts'
import type { Portal } from '../control/ports.ts'
import { ChapAlgorithm } from '../iscsi-target/chap/chap-algorithm.ts'
import { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import type { TargetDirectory } from '../iscsi-target/target-directory.ts'
import type { Log } from '../lib/log.ts'
import { listening } from './listen.ts'

const ALGORITHMS: Readonly<Record<(typeof CHAP_ALGORITHMS)[number], ChapAlgorithm>> = {
  MD5: ChapAlgorithm.md5,
  SHA1: ChapAlgorithm.sha1,
  'SHA-256': ChapAlgorithm.sha256,
  'SHA3-256': ChapAlgorithm.sha3256,
}

/** The iSCSI target as configured, not listening yet. */
export function createIscsiTarget(config: Config, directory: TargetDirectory, log: Log): IscsiTarget {
  const { limits, chap } = config
  return new IscsiTarget({
    directory,
    logger: log.child({ area: 'iscsi' }),
    parameters: { chapAlgorithms: chap.algorithms.map(name => ALGORITHMS[name]) },
    limits: {
      connectionsMax: limits.connections,
      sessionsMax: limits.sessions,
      loginTimeoutMs: limits.loginTime,
      pingIdleMs: limits.nopInterval,
      pingTimeoutMs: limits.nopTimeout,
      stopGraceMs: limits.stopGrace,
      commandsPerSessionMax: limits.commandsPerSession,
      outputBytesPerSessionMax: limits.bytesInFlight,
    },
  })
}

/** Opens the portals in their order. Rejects with ERR_LISTEN at the first that cannot be had. */
export async function openPortals(target: IscsiTarget, addresses: readonly HostPort[]): Promise<void> {
  for (const address of addresses) {
    await listening('iSCSI', formatHostPort(address), () => target.listen(address.host, address.port))
  }
}

/** The portals that are up, with what they advertise. */
export function portalsOf(target: IscsiTarget | null, advertised: readonly HostPort[]): Portal[] {
  return (target?.addresses ?? []).map((address, listener) => {
    const instead = advertised[listener]
    return { listener, address, advertised: instead === undefined ? null : formatHostPort(instead) }
  })
}
