import type net from 'node:net'
import tls from 'node:tls'

/** PEM: the authority of the cluster's peers, and this peer's certificate and key. Both sides show theirs. */
export interface PeerTls {
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** The one common name of a verified certificate, or null. */
export function certificateName(socket: net.Socket): string | null {
  if (!(socket instanceof tls.TLSSocket)) return null
  const name: unknown = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' && name !== '' ? name : null
}
