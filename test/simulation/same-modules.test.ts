import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const IMPORT = /^(?:import|export)\b[^'"]*?from '(\.[^']+)'/gm

/** Every module of ours that runs when `entry` does, by its path from the top. Types leave nothing behind. */
function modulesOf(entry: string): Set<string> {
  const seen = new Set<string>()
  const visit = (file: string) => {
    const path = relative(ROOT, file)
    if (seen.has(path) || !existsSync(file)) return
    seen.add(path)
    for (const [line, target] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      if (!/^(?:import|export) type /.test(line)) visit(join(dirname(file), target!))
    }
  }
  visit(join(ROOT, entry))
  return seen
}

/** The other network, clock and brick, which the simulator is there to replace; and what only tells SCSI who owns. */
const REPLACED = /^src\/replication\/(wire\/|boot-clock)|^src\/gateway\/access-states|\.test\.ts$/

test('what the simulator proves is what the daemon runs: the same modules of replication and gateways', () => {
  const simulated = modulesOf('test/simulation/worker.ts')
  for (const path of modulesOf('test/simulation/cluster/replicated-daemon.ts')) simulated.add(path)
  const inDaemon = [...modulesOf('src/daemon/run-daemon.ts')].filter(path =>
    /^src\/(?:replication|gateway)\//.test(path),
  )
  expect(inDaemon).toContain('src/replication/open-replication.ts')
  expect(inDaemon.filter(path => !REPLACED.test(path) && !simulated.has(path))).toEqual([])
  for (const path of [
    'src/replication/open-replication.ts',
    'src/gateway/gateway.ts',
    'src/volume/owned-volume.ts',
  ])
    expect([...simulated]).toContain(path)
})
