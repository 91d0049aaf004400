import { parseArgs } from 'node:util'
import { type PlantedBug, singleOwnerDaemon } from './cluster/single-owner-daemon.ts'
import { FAULT_KINDS, type FaultKind } from './faults/faults.ts'
import { runSeed } from './run-seed.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean' },
    seeds: { type: 'string' },
    bug: { type: 'string' },
    faults: { type: 'string' },
  },
})
setImmediate(() => {
  const [from, to] = (values.seeds ?? `${values.seed}-${values.seed}`).split('-').map(Number) as [
    number,
    number,
  ]
  const t0 = process.cpuUsage()
  const total: Record<string, number> = {}
  for (let seed = from; seed <= to; seed++) {
    const r = runSeed({
      seed,
      start: singleOwnerDaemon((values.bug ?? 'none') as PlantedBug),
      faults: (values.faults?.split(',') as FaultKind[]) ?? FAULT_KINDS,
      print: values.trace ? console.log : null,
      mustSettle: false,
      shape: { peers: 1, replicas: 1, minReplicas: 1 },
    })
    if (r.violation) console.log(seed, r.violation.message, r.virtualMs, r.events)
    for (const [k, v] of Object.entries(r.tally)) total[k] = (total[k] ?? 0) + v
  }
  console.log(total)
  const { user, system } = process.cpuUsage(t0)
  console.log('cpu ms per seed', (user + system) / 1000 / (to - from + 1))
})
