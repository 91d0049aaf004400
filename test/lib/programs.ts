import { type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Daemon } from './daemon.ts'

const COMMAND = fileURLToPath(new URL('../../bin/holdfast', import.meta.url))
const TIMEOUT_MS = 60_000

export interface ProgramResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface ProgramOptions {
  readonly timeoutMs?: number
}

/** Which of these cannot be started, as a reason to skip; null when all can. */
export function programsMissing(programs: readonly string[]): string | null {
  const missing = programs.filter(
    name => spawnSync(name, ['--version'], { stdio: 'ignore' }).error !== undefined,
  )
  return missing.length === 0 ? null : `${missing.join(', ')} cannot be started`
}

/** Runs a program to its end and keeps what it says; killed (code null) after 60 s unless told otherwise. */
export function run(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const timeout = options.timeoutMs ?? TIMEOUT_MS
    const stdio: StdioOptions = ['ignore', 'pipe', 'pipe']
    const child = spawn(program, args, { timeout, killSignal: 'SIGKILL', stdio })
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
    child.stdout?.on('data', chunk => stdout.push(chunk))
    child.stderr?.on('data', chunk => stderr.push(chunk))
    child.once('error', reject)
    child.once('close', code =>
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }),
    )
  })
}

/** As `run`, and throws with everything it said unless it ends with 0. */
export async function succeed(
  program: string,
  args: readonly string[],
  options?: ProgramOptions,
): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout
}

/** `holdfast …` against a daemon. */
export function holdfast(daemon: Daemon, ...args: string[]): Promise<ProgramResult> {
  return run(process.execPath, [COMMAND, ...args, '--api', daemon.apiUrl])
}

/** `holdfast … --json` against a daemon, parsed; throws when refused. */
export async function holdfastJson(daemon: Daemon, ...args: string[]): Promise<unknown> {
  return JSON.parse(await succeed(process.execPath, [COMMAND, ...args, '--json', '--api', daemon.apiUrl]))
}

/** `holdfast …` that must be accepted. */
export async function holdfastDone(daemon: Daemon, ...args: string[]): Promise<void> {
  await succeed(process.execPath, [COMMAND, ...args, '--api', daemon.apiUrl])
}
