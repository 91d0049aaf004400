import type { PeerLink, PeerNetwork } from '../replication/peer-network.ts'

/** Resolves when the links to these peers are up, or after `withinMs`. The first call makes a link. */
export async function linksUp(
  network: PeerNetwork,
  peerNumbers: readonly number[],
  withinMs: number,
): Promise<void> {
  const links = peerNumbers
    .filter(number => number !== network.self.peerNumber)
    .map(number => network.link(number))
  await Promise.all(links.map(link => linkUp(link, withinMs)))
}

function linkUp(link: PeerLink, withinMs: number): Promise<void> {
  return new Promise(resolve => {
    if (link.isUp) return resolve()
    const done = () => {
      clearTimeout(timer)
      stop()
      resolve()
    }
    const timer = setTimeout(done, withinMs)
    const stop = link.onChange(() => {
      if (link.isUp) done()
    })
  })
}
