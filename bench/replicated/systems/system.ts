import type { BenchServer } from '../../servers/bench-server.ts'
import type { Rival } from '../points.ts'

/** A storage system that is running: one volume, and the servers by which clients reach it. */
export interface RunningSystem extends AsyncDisposable {
  readonly servers: readonly BenchServer[]
}

export interface SystemKind {
  /** Null for ours. */
  readonly rival: Rival | null
  /** Its servers, by the names that are used on the command line. */
  readonly servers: readonly string[]
  /** Measured only when named. */
  readonly onRequest?: boolean
  /** Programs that it needs, and the Debian packages that bring them. */
  readonly programs: readonly string[]
  readonly packages: readonly string[]
  /** In an empty directory, with those of its servers that are wanted. */
  start(directory: string, wanted: ReadonlySet<string>): Promise<RunningSystem>
}
