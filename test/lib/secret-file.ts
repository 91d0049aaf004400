import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file that only its owner can read, as `--secret-file` wants it; returns its path. */
export function writeSecret(directory: string, name: string, secret: string): string {
  const file = join(directory, name)
  writeFileSync(file, `${secret}\n`, { mode: 0o600 })
  return file
}
