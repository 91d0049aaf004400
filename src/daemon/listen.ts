import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatHostPort, type HostPort } from '../config/host-port.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'

/** Runs `listen` and turns what the system says into a sentence. Throws ERR_LISTEN. */
export async function listening<T>(what: string, at: HostPort, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const reason = reasonOf(error as NodeJS.ErrnoException)
    const message = `${what} cannot listen on ${formatHostPort(at)}: ${reason}`
    throw new HoldfastError('ERR_LISTEN', message, { cause: error })
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE') return 'the address is in use'
  if (error.code === 'EADDRNOTAVAIL') return 'this machine does not have the address'
  if (error.code === 'EACCES') return 'permission denied'
  return error.message
}

/** cert.pem and key.pem of a directory. Throws ERR_CONFIG_INVALID. */
export async function loadTls(directory: string): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = await Promise.all([readPem(directory, 'cert.pem'), readPem(directory, 'key.pem')])
  return { cert, key }
}

async function readPem(directory: string, name: string): Promise<Buffer> {
  const file = join(directory, name)
  try {
    return await readFile(file)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new HoldfastError('ERR_CONFIG_INVALID', `${file} of api.tls cannot be read: ${reason}`, {
      cause: error,
    })
  }
}
