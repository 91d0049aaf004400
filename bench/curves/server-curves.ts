import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fill } from '../measure.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { HOLDFAST } from '../servers/holdfast.ts'
import { ISCSI_KINDS } from '../servers/iscsi-kinds.ts'
import { LIMIT } from '../servers/limit.ts'
import { NBD_KINDS } from '../servers/nbd-kinds.ts'
import { chooseKinds, type ServerKind, startKinds } from '../servers/server-kind.ts'
import type { Curve, CurveSettings, Sample } from './curve.ts'
import { CLIENT_CPU, loadSamples, SERVER_CPU } from './loads.ts'

const GROUPS: readonly { readonly protocol: string; readonly kinds: readonly ServerKind[] }[] = [
  { protocol: 'iSCSI', kinds: chooseKinds(ISCSI_KINDS, [HOLDFAST, 'tgt', LIMIT]) },
  { protocol: 'NBD', kinds: chooseKinds(NBD_KINDS, [HOLDFAST, 'nbdkit', LIMIT]) },
]

/** Every server at every place, one after the other at each, so that all see the same machine. */
async function measureServers(
  servers: readonly BenchServer[],
  protocol: string,
  places: readonly number[],
  argsAt: (x: number) => readonly string[],
  settings: CurveSettings,
): Promise<Sample[]> {
  const samples: Sample[] = []
  for (const server of servers) await fill(server, CLIENT_CPU)
  for (const x of places) {
    for (const server of servers) {
      const at = { series: `${server.name} ${protocol}`, x }
      samples.push(...(await loadSamples(server, argsAt(x), at, settings)))
    }
  }
  return samples
}

function serverCurve(curve: Omit<Curve, 'measure'>, argsAt: (x: number) => readonly string[]): Curve {
  return {
    ...curve,
    async measure(places, settings) {
      const samples: Sample[] = []
      for (const { protocol, kinds } of GROUPS) {
        const directory = join(settings.directory, protocol)
        mkdirSync(directory)
        const servers: BenchServer[] = []
        try {
          for (const sentence of await startKinds(kinds, { directory, cpu: SERVER_CPU }, servers)) {
            console.log(sentence)
          }
          samples.push(...(await measureServers(servers, protocol, places, argsAt, settings)))
        } finally {
          for (const server of servers) await server[Symbol.asyncDispose]()
        }
      }
      return samples
    },
  }
}

export const DEPTH = serverCurve(
  {
    name: 'depth',
    title: 'Queue depth: random 4 KiB reads over one session',
    xLabel: 'commands in flight',
    few: [1, 8, 64, 256],
    all: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  x => ['--mode', 'randread', '--depth', String(x)],
)

export const SESSIONS = serverCurve(
  {
    name: 'sessions',
    title: 'Sessions: random 4 KiB, 70 % reads, one command in flight each',
    xLabel: 'sessions',
    few: [1, 16, 64, 256],
    all: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  x => ['--mode', 'randrw', '--depth', '1', '--connections', String(x)],
)
