import { networkInterfaces } from 'node:os'
import { type HostPort, isWildcard } from '../config/host-port.ts'

/** What another host dials to reach a listener: for a wildcard the machine's first address of its own. */
export function dialledAddress({ host, port }: HostPort): HostPort {
  if (!isWildcard(host)) return { host, port }
  const addresses = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  const reachable = addresses.find(({ internal, family }) => !internal && family === 'IPv4')
  return { host: reachable?.address ?? '127.0.0.1', port }
}
