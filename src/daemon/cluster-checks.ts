import type { Finding } from '../api/backend.ts'
import type { ClusterOverview } from '../control/control.ts'
import { formatSize } from '../lib/sizes.ts'
import type { EtcdHealth } from '../metadata/etcd/etcd-health.ts'
import { failure, ok, warning } from './finding.ts'

/** etcd's default quota is 2 GiB; at it, etcd takes no more writes. */
const ETCD_BYTES_WARN = 1.5 * 2 ** 30

/** What the doctor looks at beyond this daemon. `etcd` null: the metadata is in the data directory. */
export function clusterChecks(
  overview: ClusterOverview,
  etcd: EtcdHealth | null,
  brokenLinks: readonly string[],
): Finding[] {
  const cluster = [peers(overview), volumes(overview)]
  return etcd === null ? cluster : [...cluster, links(brokenLinks), ...etcdChecks(etcd)]
}

function peers({ peers: all, peersUp }: ClusterOverview): Finding {
  if (peersUp === all) return ok('peers', all === 1 ? 'the only one is up' : `all ${all} are up`)
  const down = all - peersUp
  return warning('peers', `${down} of ${all} ${down === 1 ? 'is' : 'are'} down: peer list says which`)
}

function links(broken: readonly string[]): Finding {
  if (broken.length === 0) return ok('links', 'to every peer that is up')
  return failure('links', `no connection to ${broken.join('; ')}`)
}

function volumes({ volumes: { ok: well, degraded, waiting } }: ClusterOverview): Finding {
  if (waiting > 0) {
    return failure(
      'volumes',
      `${counted(waiting)} too few replicas to be served: bring peers back (volume show), or go on without (volume recover)`,
    )
  }
  return degraded > 0
    ? warning('volumes', `${counted(degraded)} not all replicas: one more failure may stop it`)
    : ok('volumes', `${counted(well)} all replicas`)
}

function counted(volumes: number): string {
  return volumes === 1 ? '1 volume has' : `${volumes} volumes have`
}

function etcdChecks({ members, alarms, isCompacted }: EtcdHealth): Finding[] {
  const answers = members.some(({ sizeBytes }) => sizeBytes !== null)
  if (!answers) return [etcdMembers(members)]
  return [etcdMembers(members), etcdAlarms(alarms), etcdSize(members), etcdCompaction(isCompacted)]
}

function etcdMembers(members: EtcdHealth['members']): Finding {
  const silent = members.filter(({ sizeBytes }) => sizeBytes === null).map(({ endpoint }) => endpoint)
  if (silent.length === members.length) return failure('etcd', `no member answers: ${silent.join(', ')}`)
  if (!members.some(({ hasLeader }) => hasLeader)) return failure('etcd', 'it has no leader')
  if (silent.length > 0) return warning('etcd', `${silent.join(', ')} does not answer`)
  return ok('etcd', members.length === 1 ? 'its one member answers' : `all ${members.length} members answer`)
}

function etcdAlarms(alarms: readonly string[]): Finding {
  if (alarms.length === 0) return ok('etcd alarms', 'none')
  return failure(
    'etcd alarms',
    `${alarms.join(', ')}: compact and defragment it, then disarm (etcdctl alarm)`,
  )
}

function etcdSize(members: EtcdHealth['members']): Finding {
  const largest = Math.max(0, ...members.map(({ sizeBytes }) => sizeBytes ?? 0))
  const says = `${formatSize(largest)} used`
  if (largest < ETCD_BYTES_WARN) return ok('etcd space', says)
  return warning('etcd space', `${says}: at its quota (2GiB by default) it takes no writes; defragment it`)
}

function etcdCompaction(isCompacted: boolean | null): Finding {
  if (isCompacted !== false) return ok('etcd compaction', 'its history is short')
  return warning('etcd compaction', 'nobody compacts it: give etcd --auto-compaction-retention=1h')
}
