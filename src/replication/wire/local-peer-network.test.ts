import { peerIdentity, peerNetworkContract } from '../../../test/lib/peer-network-contract.ts'
import { LocalPeerHub } from './local-peer-network.ts'

peerNetworkContract('in one process', async () => {
  const hub = new LocalPeerHub()
  const one = hub.join(peerIdentity(1))
  const two = hub.join(peerIdentity(2))
  return {
    one,
    two,
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
    },
  }
})
