import type net from 'node:net'
import { addressOf, nativeLibrary } from '../lib/native.ts'

// netinet/tcp.h
const IPPROTO_TCP = 6
const TCP_CONGESTION = 13
/** Part of every kernel and allowed to everybody; sends as soon as the window allows it. */
const RENO = Buffer.from('reno')

const setsockopt =
  nativeLibrary(null)?.func('setsockopt', 'int', ['int', 'int', 'int', 'uintptr_t', 'uint32_t']) ?? null

interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null
}

/**
 * Takes the pacing off a connection within this machine. Where the system's congestion control paces (BBR), a timer
 * per segment costs the sender more than the data; between two processes there is nothing that it could protect.
 * Other connections stay as the administrator wants them. Best effort: answers whether it was done.
 */
export function sendUnpacedWithinMachine(socket: net.Socket): boolean {
  const { localAddress, remoteAddress } = socket
  if (setsockopt === null || remoteAddress === undefined || remoteAddress !== localAddress) return false
  const fd = (socket as WithHandle)._handle?.fd
  if (fd === undefined || fd < 0) return false
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, addressOf(RENO), RENO.length) === 0
}
