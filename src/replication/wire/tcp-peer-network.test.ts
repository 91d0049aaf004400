import { expect, test } from 'vitest'
import { ManualTimers } from '../../../test/lib/manual-timers.ts'
import {
  peerIdentity,
  peerNetworkContract,
  send,
  TestHandler,
  type TwoPeers,
  untilUp,
  VOLUME,
} from '../../../test/lib/peer-network-contract.ts'
import { BlockStatus } from '../../block/block-status.ts'
import type { FenceAnswer } from '../messages.ts'
import { PeerRequestKind, PeerStatus } from '../peer-network.ts'
import { Replica } from '../replica/replica.ts'
import type { ReplicaStore } from '../replica-store.ts'
import type { PeerAddress } from './dialled-connection.ts'
import { TcpPeerNetwork } from './tcp-peer-network.ts'

async function openPair(receiveByEvents: boolean): Promise<TwoPeers> {
  const addresses = new Map<number, PeerAddress>()
  const make = (peerNumber: number) =>
    new TcpPeerNetwork({
      self: peerIdentity(peerNumber),
      addressOf: number => addresses.get(number) ?? null,
      admit: async () => {},
      tls: null,
      receiveByEvents,
      limits: { reconnectMinMs: 1, reconnectMaxMs: 10 },
    })
  const networks = [make(1), make(2)] as const
  for (const network of networks) {
    const { serve } = network
    network.serve = handler => {
      serve.call(network, handler)
      void network.listen('127.0.0.1', 0).then(address => {
        const [host, port] = address.split(':')
        addresses.set(network.self.peerNumber, { host: host!, port: Number(port) })
      })
    }
  }
  const [one, two] = networks
  return {
    one,
    two,
    async [Symbol.asyncDispose]() {
      await Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()])
    },
  }
}

peerNetworkContract('over TCP', () => openPair(false))
peerNetworkContract('over TCP, by events', () => openPair(true))

test('over TCP: an answer that fits into no frame is a refusal, and segments as runs fit', async () => {
  await using peers = await openPair(false)
  const segments = Array.from({ length: 2 ** 20 }, (_, i) => 10_000_000 + i)
  const volume = {
    ...{ uuid: VOLUME, sizeBytes: 2 ** 50, generation: 1, descriptor: { epoch: 1, setVersion: 1 } },
    ...{ atomicsAtOpen: [], activeSegments: () => segments, suspectSegments: () => [] },
    persistDescriptor: async () => {},
  }
  const store = { failure: null, state: 'warm', volume: () => volume } as unknown as ReplicaStore
  const failed: unknown[] = []
  const log = { info: () => {}, warn: () => {}, error: (...of: unknown[]) => void failed.push(of) }
  const timers = new ManualTimers()
  const replica = new Replica(peerIdentity(2), store, timers, () => {}, log)
  timers.pass(60_000)
  peers.one.serve(new TestHandler())
  peers.two.serve(replica)
  const link = peers.one.link(2)
  await untilUp(link)
  const fence = (runs?: boolean) =>
    send(link, request => {
      request.kind = PeerRequestKind.control
      request.volume = VOLUME
      request.epoch = 2
      request.setVersion = 1
      request.body = { what: 'fence', sizeBytes: 0, generation: 1, runs }
    })
  const listed = await fence()
  expect([listed.status, listed.replyBody]).toEqual([
    PeerStatus.refused,
    { code: 'ERR_INTERNAL', message: 'the answer is too long' },
  ])
  expect(failed).toHaveLength(1)
  const { status, replyBody } = await fence(true)
  const { activeSegments, activeRuns } = replyBody as FenceAnswer
  expect([status, activeSegments, activeRuns]).toEqual([BlockStatus.ok, [], [10_000_000, 2 ** 20]])
})
