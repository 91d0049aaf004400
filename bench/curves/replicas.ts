import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Curve, Sample } from './curve.ts'
import { loadSamples, whole } from './loads.ts'
import { OwnDaemon } from './own-daemon.ts'

const VOLUME_BYTES = 256 * 2 ** 20

/** As many bricks in one process as the volume has replicas: what a further copy costs, without a network. */
export const REPLICAS: Curve = {
  name: 'replicas',
  title: 'Replicas: all peers in one process',
  xLabel: 'replicas',
  few: [1, 2, 3],
  all: [1, 2, 3, 4, 5],
  async measure(places, settings) {
    const samples: Sample[] = []
    for (const x of places) {
      const directory = join(settings.directory, String(x))
      mkdirSync(directory)
      const peers = ['--no-demo', '--peers', String(x)]
      await using daemon = await OwnDaemon.start({ directory, arguments: peers })
      await daemon.ask('POST', 'volumes', { name: 'bench', sizeBytes: VOLUME_BYTES, replicas: x })
      const served = daemon.served('bench')
      await whole(served.url, 'write', 0, VOLUME_BYTES)
      const loaded = (series: string, ...args: readonly string[]) =>
        loadSamples(served, args, { series, x }, settings)
      samples.push(...(await loaded('4 KiB reads, depth 32', '--mode', 'randread', '--depth', '32')))
      samples.push(...(await loaded('4 KiB writes, depth 32', '--mode', 'randwrite', '--depth', '32')))
      samples.push(...(await loaded('4 KiB writes, depth 1', '--mode', 'randwrite', '--depth', '1')))
    }
    return samples
  },
}
