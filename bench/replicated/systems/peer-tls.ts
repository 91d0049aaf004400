import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
const DAYS = '2'

/** An authority, and for each peer a directory `tls-PEER` with ca.pem, cert.pem and key.pem. */
export function makePeerTls(directory: string, peers: readonly string[]): void {
  const authority = join(directory, 'ca')
  const [authorityKey, authorityCertificate] = [`${authority}.key`, `${authority}.pem`]
  const files = ['-keyout', authorityKey, '-out', authorityCertificate]
  openssl('req', '-x509', ...KEY, ...files, '-days', DAYS, '-subj', '/CN=bench authority')
  for (const peer of peers) {
    const place = join(directory, `tls-${peer}`)
    mkdirSync(place)
    const [request, extensions] = [join(place, 'request'), join(place, 'extensions')]
    writeFileSync(extensions, `subjectAltName=DNS:${peer},IP:127.0.0.1\n`)
    openssl('req', '-new', ...KEY, '-keyout', join(place, 'key.pem'), '-out', request, '-subj', `/CN=${peer}`)
    const signer = ['-CA', authorityCertificate, '-CAkey', authorityKey, '-CAcreateserial', '-days', DAYS]
    const output = ['-extfile', extensions, '-out', join(place, 'cert.pem')]
    openssl('x509', '-req', '-in', request, ...signer, ...output)
    copyFileSync(authorityCertificate, join(place, 'ca.pem'))
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' })
}
