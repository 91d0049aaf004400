import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('./recorder/recorder.c', import.meta.url))

/** Why the power-cut tests cannot run here, or null. */
export function lacksCompiler(): string | null {
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'gcc is not installed (Debian: gcc, libc6-dev)'
}

/** Compiles the recorder into `directory` and gives the path of the library. */
export async function buildRecorder(directory: string): Promise<string> {
  const library = join(directory, 'recorder.so')
  await promisify(execFile)('gcc', ['-O2', '-shared', '-fPIC', '-o', library, SOURCE, '-lpthread'])
  return library
}

export interface Recording {
  readonly library: string
  /** Everything below this real path is recorded; without it only the boot id is served. */
  readonly root?: string
  readonly log?: string
  /** The machine's own unless given. */
  readonly bootId?: string
  /** While this path exists every sync below the root fails with EIO. */
  readonly failSyncs?: string
}

export function recordedEnvironment(recording: Recording): NodeJS.ProcessEnv {
  const { library, root, log, bootId, failSyncs } = recording
  return {
    ...process.env,
    LD_PRELOAD: library,
    UV_USE_IO_URING: '0',
    ...(bootId === undefined ? {} : { RECORDER_BOOT_ID: bootId }),
    ...(failSyncs === undefined ? {} : { RECORDER_FAIL_SYNCS: failSyncs }),
    ...(root === undefined ? {} : { RECORDER_ROOT: root, RECORDER_LOG: log }),
  }
}
