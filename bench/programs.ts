import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Whether a program of that name is in PATH, or a file of that path can be executed. */
export function isInstalled(program: string): boolean {
  const places = program.startsWith('/') ? [''] : (process.env.PATH ?? '').split(delimiter)
  return places.some(directory => {
    try {
      accessSync(join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** The first line that a program prints about its version; 'unknown' where it does not know the flag. */
export function versionOf(program: string, flag = '--version'): string {
  try {
    const said = execFileSync(program, [flag], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return said.trim().split('\n')[0] as string
  } catch {
    return 'unknown'
  }
}
