import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { systemReason } from '../lib/system-error.ts'
import { CliError, ExitCode } from './exit-codes.ts'

/** RFC 7143 leaves the length open; longer files are a mistake. */
const SECRET_FILE_BYTES_MAX = 4096

/** A secret of one line, from a file, or from standard input for `-`, without its line end. Never from argv. */
export async function readSecret(file: string, stdin: Readable): Promise<string> {
  const bytes = file === '-' ? await readAll(stdin) : await readNamed(file)
  const what = file === '-' ? 'standard input' : file
  if (bytes.length > SECRET_FILE_BYTES_MAX)
    throw new CliError(ExitCode.refused, `${what} is too long for a secret`)
  const secret = bytes.toString('utf8').replace(/\r?\n$/, '')
  if (/[\r\n]/.test(secret))
    throw new CliError(ExitCode.refused, `${what} has more than one line, and a secret is one`)
  return secret
}

async function readNamed(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new CliError(ExitCode.refused, `the secret file ${file} cannot be read: ${systemReason(error)}`)
  }
}

async function readAll(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of stream) {
    pieces.push(Buffer.from(piece))
    length += piece.length
    if (length > SECRET_FILE_BYTES_MAX) break
  }
  return Buffer.concat(pieces)
}
