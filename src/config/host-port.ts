import { isIP, isIPv6 } from 'node:net'

/** Where to listen or what to advertise. Port 0 lets the kernel choose. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

const BRACKETED = /^\[([^\]]+)\]:(\d{1,5})$/
const PLAIN = /^([^:[\]]+):(\d{1,5})$/

/** `127.0.0.1:3260`, `storage-1:3260` or `[fd00::1]:3260`. Null when the text is none of these. */
export function parseHostPort(text: string): HostPort | null {
  const bracketed = BRACKETED.exec(text)
  if (bracketed !== null && !isIPv6(bracketed[1]!)) return null
  const match = bracketed ?? PLAIN.exec(text)
  if (match === null) return null
  const port = Number(match[2])
  return port <= 65535 ? { host: match[1]!, port } : null
}

/** The form that parseHostPort reads: IPv6 addresses go in brackets. */
export function formatHostPort(address: HostPort): string {
  return isIPv6(address.host) ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Whether only this machine can reach the address. Names other than `localhost` count as reachable by others. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.')
  return host === '::1' || host === 'localhost' || host.toLowerCase().startsWith('::ffff:127.')
}

/** Whether the address stands for every address of the machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
