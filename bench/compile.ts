import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isInstalled } from './programs.ts'

const run = promisify(execFile)
const CACHE = fileURLToPath(new URL('../node_modules/.cache/holdfast-bench', import.meta.url))
const COMPILER = 'gcc'
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror']

/** A small C program or library of the bench. */
export interface CProgram {
  readonly name: string
  /** The directory of its sources; a change of any file there makes it anew. */
  readonly directory: string
  readonly sources: readonly string[]
  /** Linker arguments. */
  readonly libraries?: readonly string[]
  /** Compiler arguments besides ours. */
  readonly flags?: readonly string[]
}

/** Why nothing can be compiled here, or null. */
export function noCompiler(): string | null {
  return isInstalled(COMPILER) ? null : `${COMPILER} not found; as root: apt-get install gcc libc6-dev`
}

/** Where the program is once compiled: named by its sources, so that two trees do not take each other's. */
export function binaryOf({ name, directory, flags = [] }: CProgram): string {
  const hash = createHash('sha256').update(JSON.stringify(flags))
  for (const file of readdirSync(directory).toSorted()) {
    if (/\.[ch]$/.test(file)) hash.update(file).update(readFileSync(join(directory, file)))
  }
  return join(CACHE, `${name}-${hash.digest('hex').slice(0, 16)}`)
}

/** Compiles a program unless that has been done; answers where it is. Throws when there is no compiler. */
export async function compile(program: CProgram): Promise<string> {
  const binary = binaryOf(program)
  if (existsSync(binary)) return binary
  const missing = noCompiler()
  if (missing !== null) throw new Error(`${program.name}: ${missing}`)
  mkdirSync(CACHE, { recursive: true })
  const units = program.sources.map(name => join(program.directory, name))
  const part = `${binary}.${process.pid}`
  const { flags = [], libraries = [] } = program
  await run(COMPILER, [...FLAGS, ...flags, '-o', part, ...units, ...libraries])
  renameSync(part, binary)
  return binary
}
