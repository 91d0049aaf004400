import type net from 'node:net'
import tls from 'node:tls'
import type { PskKeys } from './psk-file.ts'

/** What a listener with TLS has to show and to check. At least one of the two ways. */
export interface TlsMaterial {
  /** PEM: our certificate and key, and the authority that signs client certificates. */
  readonly x509: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null
  readonly psk: PskKeys | null
}

export interface SecuredSocket {
  readonly socket: tls.TLSSocket
  /** Common name of a verified client certificate, or the PSK's identity; null when the client proved nothing. */
  readonly identity: string | null
}

/**
 * In TLS 1.3 a PSK of this kind belongs to SHA-256 (RFC 8446 §4.2.11): with a cipher of another hash OpenSSL asks for
 * the PSK and then passes it over. Those of TLS 1.2 are left out by OpenSSL unless they are asked for.
 */
const PSK_CIPHERS: readonly string[] = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-AES128-GCM-SHA256',
  'PSK-AES256-GCM-SHA384',
  'PSK-AES128-GCM-SHA256',
]

function ciphers(material: TlsMaterial): string {
  const usual = tls.DEFAULT_CIPHERS.split(':')
  if (material.psk === null) return usual.join(':')
  const others = usual.filter(cipher => cipher !== '!PSK' && !cipher.startsWith('TLS_'))
  return [...PSK_CIPHERS, ...others].join(':')
}

/**
 * Makes a connected socket, which nobody reads, the server's side of TLS. Rejects when the handshake fails, and
 * when the client shows a certificate that the authority did not sign.
 */
export function upgradeToTls(socket: net.Socket, material: TlsMaterial): Promise<SecuredSocket> {
  return new Promise((resolve, reject) => {
    let pskIdentity: string | null = null
    const server = tls.createServer({
      ...(material.x509 ?? {}),
      requestCert: material.x509 !== null,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      ciphers: ciphers(material),
      ...(material.psk !== null && {
        pskCallback: (_: tls.TLSSocket, identity: string) => {
          const key = material.psk?.get(identity) ?? null
          if (key !== null) pskIdentity = identity
          return key
        },
      }),
    })
    server.on('tlsClientError', reject)
    server.on('secureConnection', secured => {
      if (pskIdentity !== null && usesPsk(secured)) return resolve({ socket: secured, identity: pskIdentity })
      const certificate = secured.getPeerCertificate()
      if (Object.keys(certificate).length === 0) return resolve({ socket: secured, identity: null })
      if (secured.authorized) return resolve({ socket: secured, identity: commonName(certificate) })
      secured.destroy()
      reject(new Error('the client certificate is not signed by our authority'))
    })
    socket.on('close', () => reject(new Error('closed during the TLS handshake')))
    server.emit('connection', socket)
  })
}

/** That a key was asked for proves nothing. Sessions are never resumed: in TLS 1.3 only a PSK makes this one look so. */
function usesPsk(secured: tls.TLSSocket): boolean {
  if (secured.getProtocol() === 'TLSv1.3') return secured.isSessionReused()
  return secured.getCipher().name.includes('PSK')
}

/** A name may be given more than once: then none of them is taken for the client's. */
function commonName(certificate: tls.PeerCertificate): string | null {
  const name: unknown = certificate.subject?.CN
  return typeof name === 'string' && name !== '' ? name : null
}
