import { peerIdentity, peerNetworkContract, type TwoPeers } from '../../../test/lib/peer-network-contract.ts'
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
