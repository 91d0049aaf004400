import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'

/** Runs `listen` and turns what the system says into a sentence. Throws ERR_LISTEN. */
export async function listening<T>(what: string, at: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const reason = reasonOf(error as NodeJS.ErrnoException)
    const message = `${what} cannot listen on ${at}: ${reason}`
    throw new HoldfastError('ERR_LISTEN', message, { cause: error })
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'EADDRINUSE') return 'the address is in use'
  if (error.code === 'EADDRNOTAVAIL') return 'this machine does not have the address'
  if (error.code === 'EACCES') return 'permission denied'
  return error.message
}

/** cert.pem and key.pem of the directory that `field` names. Throws ERR_CONFIG_INVALID. */
export async function loadTls(field: string, directory: string): Promise<{ cert: Buffer; key: Buffer }> {
  const [cert, key] = await Promise.all([
    readPem(field, directory, 'cert.pem'),
    readPem(field, directory, 'key.pem'),
  ])
  return { cert, key }
}

/** One file of that directory. Throws ERR_CONFIG_INVALID. */
export async function readPem(field: string, directory: string, name: string): Promise<Buffer> {
  const file = join(directory, name)
  try {
    return await readFile(file)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new HoldfastError('ERR_CONFIG_INVALID', `${file} of ${field} cannot be read: ${reason}`, {
      cause: error,
    })
  }
}
