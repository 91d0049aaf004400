import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EtcdServer, etcdMissing } from '../../../test/lib/etcd-server.ts'
import { etcdHealth } from './etcd-health.ts'

const missing = etcdMissing()
if (missing !== null) console.log(`skipped: health of etcd: ${missing}`)

describe.skipIf(missing !== null)('etcd health', () => {
  let server: EtcdServer
  beforeAll(async () => {
    server = await EtcdServer.create()
  })
  afterAll(() => server?.destroy())

  test('health: a member that answers and one that does not are told apart, by their endpoints', async () => {
    const { members, alarms, isCompacted } = await etcdHealth({ endpoints: ['127.0.0.1:1', server.endpoint] })
    expect(members[0]).toEqual({ endpoint: '127.0.0.1:1', sizeBytes: null, hasLeader: false })
    expect(members[1]).toMatchObject({ endpoint: server.endpoint, hasLeader: true })
    expect(members[1]!.sizeBytes).toBeGreaterThan(0)
    expect([alarms, isCompacted]).toEqual([[], null])
  })
})
