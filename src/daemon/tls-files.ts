import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { systemReason } from '../lib/system-error.ts'

export interface KeyPair {
  readonly cert: Buffer
  readonly key: Buffer
}

/** cert.pem and key.pem of the directory that `field` names, which belong together. Throws ERR_CONFIG_INVALID. */
export async function loadKeyPair(field: string, directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all([
    readPem(field, directory, 'cert.pem'),
    readPem(field, directory, 'key.pem'),
  ])
  check(`${join(directory, 'cert.pem')} and key.pem of ${field}`, () => createSecureContext({ cert, key }))
  return { cert, key }
}

/** As loadKeyPair; null where the directory has neither. */
export async function loadKeyPairIfThere(field: string, directory: string): Promise<KeyPair | null> {
  const isThere = ['cert.pem', 'key.pem'].some(name => existsSync(join(directory, name)))
  return isThere ? loadKeyPair(field, directory) : null
}

/** ca.pem of that directory. Throws ERR_CONFIG_INVALID. */
export async function loadAuthority(field: string, directory: string): Promise<Buffer> {
  const ca = await readPem(field, directory, 'ca.pem')
  check(`${join(directory, 'ca.pem')} of ${field}`, () => new X509Certificate(ca))
  return ca
}

async function readPem(field: string, directory: string, name: string): Promise<Buffer> {
  const file = join(directory, name)
  try {
    return await readFile(file)
  } catch (cause) {
    const message = `${file} of ${field} cannot be read: ${systemReason(cause)}`
    throw new HoldfastError('ERR_CONFIG_INVALID', message, { cause })
  }
}

/** What nobody could use is refused at the start: later each client would be, and hear nothing of why. */
function check(what: string, use: () => unknown): void {
  try {
    use()
  } catch (cause) {
    // OpenSSL's own word for it, such as `key values mismatch`.
    const { reason, message } = cause as Error & { readonly reason?: string }
    throw new HoldfastError('ERR_CONFIG_INVALID', `${what} cannot be used: ${reason ?? message}`, { cause })
  }
}
