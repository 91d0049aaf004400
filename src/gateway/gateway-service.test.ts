import { beforeEach, expect, test } from 'vitest'
import { ManualTimers } from '../../test/lib/manual-timers.ts'
import {
  type IncomingRequest,
  type PeerAnswer,
  type PeerIdentity,
  PeerRequestKind,
  PeerStatus,
} from '../replication/peer-network.ts'
import { GatewayService } from './gateway-service.ts'
import { ATTACH_WAIT_MS } from './limits.ts'
import type { OwnedService } from './owned-service.ts'

const VOLUME = '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11'
const GATEWAY = { peerNumber: 2, incarnation: 'it' } as PeerIdentity

let timers: ManualTimers
let service: GatewayService
beforeEach(async () => {
  timers = new ManualTimers()
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const replicas = { received: () => {}, connected: async () => {}, disconnected: () => {} }
  service = new GatewayService({ log, timers, replicas, event: async () => {}, users: () => [] })
  await service.connected(GATEWAY, 1)
})

/** What another gateway gets for asking; nothing while it waits. */
function ask(call: string): [PeerStatus, PeerAnswer | undefined][] {
  const replies: [PeerStatus, PeerAnswer | undefined][] = []
  service.received({
    from: GATEWAY,
    connection: 1,
    kind: PeerRequestKind.control,
    volume: VOLUME,
    body: { what: 'gatewayCall', call, args: [] },
    reply: (status: PeerStatus, answer?: PeerAnswer) => replies.push([status, answer]),
  } as unknown as IncomingRequest)
  return replies
}

const turn = () => new Promise(resolve => setImmediate(resolve))
const owned = (answer: string) =>
  ({ uuid: VOLUME, portFor: () => ({ attach: async () => answer }) }) as unknown as OwnedService

test('attach: whoever asks before the volume is served here is answered as soon as it is', async () => {
  const first = ask('attach')
  const second = ask('attach')
  await turn()
  expect([first, second]).toEqual([[], []])
  service.add(owned('its state'))
  await turn()
  expect([first, second]).toEqual([[[0, { body: 'its state' }]], [[0, { body: 'its state' }]]])
})

test('attach: a volume that is not served here in time is refused, and so is every other call at once', async () => {
  const attach = ask('attach')
  const other = ask('endUnit')
  await turn()
  expect(other).toMatchObject([[PeerStatus.refused, { body: { code: 'ERR_BLOCK_UNAVAILABLE' } }]])
  timers.pass(ATTACH_WAIT_MS)
  await turn()
  expect(attach).toMatchObject([[PeerStatus.refused, { body: { code: 'ERR_BLOCK_UNAVAILABLE' } }]])
})
