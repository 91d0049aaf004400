import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Background, eventually } from '../../../test/lib/cluster/background.ts'
import { processTree } from '../../machine.ts'

const START_MS = 90_000

/** The programs of one system, each with its output in a file. Disposing it kills them, the last one first. */
export class ProgramGroup implements AsyncDisposable {
  readonly #directory: string
  readonly #running: Background[] = []

  constructor(directory: string) {
    this.#directory = directory
  }

  start(name: string, argv: readonly string[], environment: NodeJS.ProcessEnv = {}): Background {
    const program = new Background(argv, join(this.#directory, `${name}.log`), environment)
    this.#running.push(program)
    return program
  }

  /** Of all programs and what descends from them. */
  get pids(): number[] {
    return this.#running.flatMap(({ pid }) => processTree(pid))
  }

  /** Resolves when `attempt` does; throws with the end of the program's output when it ends or 90 s pass. */
  async ready<T>(what: string, program: Background, attempt: () => Promise<T>): Promise<T> {
    try {
      return await eventually(what, START_MS, async () => {
        if (program.hasEnded) throw new Error('it has ended')
        return attempt()
      })
    } catch (error) {
      const cause = (error as Error).cause ?? ''
      throw new Error(`${(error as Error).message}\n${cause}\n${program.logTail()}`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#running.splice(0).toReversed()) await program.kill()
  }
}

/** Rejects unless somebody listens there. */
export async function listening(host: string, port: number): Promise<void> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
  } finally {
    socket.destroy()
  }
}
