import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
// @ts-expect-error scripts are plain JavaScript
import { runDirectory } from '../../scripts/lib/test-run.mjs'

export interface TemporaryDirectory extends Disposable {
  readonly path: string
}

/** A directory that is gone when the `using` block ends. */
export function temporaryDirectory(purpose: string): TemporaryDirectory {
  return removedAtTheEnd(mkdtempSync(join(tmpdir(), `holdfast-${purpose}-`)))
}

/** As temporaryDirectory, for what may be large: when the tests are killed their next run removes it. Its name is long. */
export function directoryOfRun(purpose: string): TemporaryDirectory {
  return removedAtTheEnd(runDirectory(purpose))
}

function removedAtTheEnd(path: string): TemporaryDirectory {
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
