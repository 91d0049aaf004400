import type { Etcd3 } from 'etcd3'
import { EtcdKeys } from './etcd-codec.ts'
import { EtcdEndpoints } from './etcd-endpoints.ts'
import type { EtcdStoreOptions } from './etcd-store.ts'

export interface EtcdHealth {
  readonly members: readonly EtcdMemberHealth[]
  /** As etcd names them: NOSPACE, CORRUPT. */
  readonly alarms: readonly string[]
  /** History of this many revisions is kept: nobody compacts. Null while there is not so much yet. */
  readonly isCompacted: boolean | null
}

export interface EtcdMemberHealth {
  readonly endpoint: string
  /** Null when it does not answer. */
  readonly sizeBytes: number | null
  readonly hasLeader: boolean
}

/** Somebody who compacts keeps less history than this; a day of ours is far below. */
const HISTORY_MAX = 500_000n

/** Asks every member how it is. Never rejects: what does not answer is told as that. */
export async function etcdHealth(options: EtcdStoreOptions): Promise<EtcdHealth> {
  const members = await Promise.all(
    options.endpoints.map(endpoint =>
      withMember(options, endpoint, client => memberHealth(client, endpoint)),
    ),
  )
  const answering = members.find(({ member }) => member.sizeBytes !== null)
  return {
    members: members.map(({ member }) => member),
    alarms: answering?.alarms ?? [],
    isCompacted: answering?.isCompacted ?? null,
  }
}

interface Examined {
  readonly member: EtcdMemberHealth
  readonly alarms: readonly string[]
  readonly isCompacted: boolean | null
}

async function withMember(
  options: EtcdStoreOptions,
  endpoint: string,
  examine: (client: Etcd3) => Promise<Examined>,
): Promise<Examined> {
  const endpoints = new EtcdEndpoints({ ...options, endpoints: [endpoint] })
  try {
    return await endpoints.call(examine)
  } catch {
    return { member: { endpoint, sizeBytes: null, hasLeader: false }, alarms: [], isCompacted: null }
  } finally {
    endpoints.close()
  }
}

async function memberHealth(client: Etcd3, endpoint: string): Promise<Examined> {
  const status = await client.maintenance.status()
  const { alarms } = await client.maintenance.alarm({ action: 'Get' })
  return {
    member: { endpoint, sizeBytes: Number(status.dbSize), hasLeader: status.leader !== '0' },
    alarms: alarms.map(({ alarm }) => String(alarm).toUpperCase()),
    isCompacted: await isCompacted(client, BigInt(status.header.revision)),
  }
}

/** Whether the revision that is HISTORY_MAX old is gone. */
async function isCompacted(client: Etcd3, newest: bigint): Promise<boolean | null> {
  if (newest <= HISTORY_MAX) return null
  const revision = (newest - HISTORY_MAX).toString()
  const range = { ...new EtcdKeys('').range('holdfast'), count_only: true, revision }
  return client.kv.range(range).then(
    () => false,
    () => true,
  )
}
