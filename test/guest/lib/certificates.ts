import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { succeed } from '../../lib/programs.ts'

const DAYS = '2'
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** The name in the daemon's certificate. */
export const SERVER_NAME = 'holdfast.test'

/** Makes ca.pem in `directory`, and NAME-cert.pem and NAME-key.pem signed by it for each common name. */
export async function makeCertificates(directory: string, commonNames: readonly string[]): Promise<void> {
  const at = (file: string) => join(directory, file)
  const authority = [
    '-keyout',
    at('ca-key.pem'),
    '-out',
    at('ca.pem'),
    '-subj',
    '/CN=authority',
    '-days',
    DAYS,
  ]
  await succeed('openssl', ['req', '-x509', ...NEW_KEY, ...authority])
  for (const name of commonNames) {
    const [key, request, certificate] = [at(`${name}-key.pem`), at(`${name}.csr`), at(`${name}-cert.pem`)]
    await succeed('openssl', ['req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${name}`])
    writeFileSync(at('extensions'), `subjectAltName=DNS:${name}\n`)
    const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-days', DAYS]
    const signing = ['x509', '-req', '-in', request, '-out', certificate, '-extfile', at('extensions')]
    await succeed('openssl', [...signing, ...signer])
  }
}
