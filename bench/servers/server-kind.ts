import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { isInstalled } from '../programs.ts'
import type { BenchServer, ServerPlace } from './bench-server.ts'

/** A server that the bench knows how to start. */
export interface ServerKind {
  readonly name: string
  /** Programs that it needs, and the Debian packages that bring them. */
  readonly programs: readonly string[]
  readonly packages: readonly string[]
  start(place: ServerPlace): Promise<BenchServer>
}

/** The kinds of these names, in the order of `kinds`. Throws an Error that lists what there is. */
export function chooseKinds(kinds: readonly ServerKind[], names: readonly string[]): readonly ServerKind[] {
  const unknown = names.filter(name => !kinds.some(kind => kind.name === name))
  if (unknown.length > 0) {
    throw new Error(`there is no server '${unknown[0]}': ${kinds.map(({ name }) => name).join(', ')}`)
  }
  return names.length === 0 ? kinds : kinds.filter(({ name }) => names.includes(name))
}

/** Why a server cannot be started here and how that is mended, or null. */
export function missingFor({ name, programs, packages }: ServerKind): string | null {
  const missing = programs.filter(program => !isInstalled(program))
  if (missing.length === 0) return null
  return `left out: ${name}: ${missing.join(', ')} not found; as root: apt-get install ${packages.join(' ')}`
}

/**
 * Starts those that can be started, each in a directory of its own under `place`, and adds them to `running`.
 * Answers a sentence for each that was left out. Throws when it is ours that does not come up.
 */
export async function startKinds(
  kinds: readonly ServerKind[],
  place: ServerPlace,
  running: BenchServer[],
): Promise<string[]> {
  const leftOut: string[] = []
  for (const kind of kinds) {
    const missing = missingFor(kind)
    if (missing !== null) {
      leftOut.push(missing)
      continue
    }
    const directory = join(place.directory, kind.name)
    mkdirSync(directory)
    try {
      running.push(await kind.start({ ...place, directory }))
    } catch (error) {
      if (kind.name === 'holdfast') throw error
      leftOut.push(`left out: ${kind.name}: ${(error as Error).message}`)
    }
  }
  return leftOut
}
