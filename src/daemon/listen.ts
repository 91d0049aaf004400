import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { systemReason } from '../lib/system-error.ts'

/** Runs `listen` and turns what the system says into a sentence. Throws ERR_LISTEN. */
export async function listening<T>(what: string, at: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const message = `${what} cannot listen on ${at}: ${systemReason(error)}`
    throw new HoldfastError('ERR_LISTEN', message, { cause: error })
  }
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
    throw new HoldfastError(
      'ERR_CONFIG_INVALID',
      `${file} of ${field} cannot be read: ${systemReason(error)}`,
      {
        cause: error,
      },
    )
  }
}
