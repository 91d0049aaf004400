import { expect, test } from 'vitest'
import type { ClusterOverview } from '../control/control.ts'
import type { EtcdHealth } from '../metadata/etcd/etcd-health.ts'
import { clusterChecks } from './cluster-checks.ts'

const overview: ClusterOverview = {
  peers: 3,
  peersUp: 3,
  volumes: { ok: 2, degraded: 0, waiting: 0 },
  balanced: true,
  rangesToMove: 0,
  metadata: 'current',
}
const member = { endpoint: 'http://etcd1:2379', sizeBytes: 1000, hasLeader: true }
const etcd: EtcdHealth = { members: [member, { ...member, endpoint: 'b' }], alarms: [], isCompacted: true }

function troubles(
  change: Partial<ClusterOverview>,
  health: Partial<EtcdHealth> = {},
  brokenLinks: string[] = [],
): string[] {
  return clusterChecks({ ...overview, ...change }, { ...etcd, ...health }, brokenLinks)
    .filter(({ state }) => state !== 'ok')
    .map(({ check, state }) => `${check} ${state}`)
}

test('doctor: peers that are down and volumes without their replicas are found', () => {
  expect(troubles({})).toEqual([])
  expect(troubles({ peersUp: 2 })).toEqual(['peers warning'])
  expect(troubles({ volumes: { ok: 1, degraded: 1, waiting: 0 } })).toEqual(['volumes warning'])
  expect(troubles({}, {}, ["c: its certificate is that of 'b'"])).toEqual(['links failure'])
  expect(troubles({ volumes: { ok: 1, degraded: 1, waiting: 1 } })).toEqual(['volumes failure'])
})

test('doctor: etcd is asked for its members, alarms, size and compaction; without it there is nothing to ask', () => {
  const silent = { ...member, sizeBytes: null, hasLeader: false }
  expect(troubles({}, { members: [member, silent] })).toEqual(['etcd warning'])
  expect(troubles({}, { members: [silent] })).toEqual(['etcd failure'])
  const unknown = clusterChecks(overview, { ...etcd, members: [silent] }, []).map(({ check }) => check)
  expect(unknown).toEqual(['peers', 'volumes', 'links', 'etcd'])
  expect(troubles({}, { members: [{ ...member, hasLeader: false }] })).toEqual(['etcd failure'])
  expect(troubles({}, { alarms: ['NOSPACE'] })).toEqual(['etcd alarms failure'])
  expect(troubles({}, { members: [{ ...member, sizeBytes: 2 ** 31 }] })).toEqual(['etcd space warning'])
  expect(troubles({}, { isCompacted: false })).toEqual(['etcd compaction warning'])
  expect(clusterChecks(overview, null, []).map(({ check }) => check)).toEqual(['peers', 'volumes'])
})
