import type { Curve, Sample } from './curve.ts'
import { Measure, resident, single, whole } from './loads.ts'
import { OwnDaemon } from './own-daemon.ts'

const GIB = 2 ** 30
const VOLUME_BYTES = 64 * GIB

/** Start-up and memory of a daemon whose brick holds ever more. */
export const ALLOCATED: Curve = {
  name: 'allocated',
  title: 'Allocated bytes: start-up and memory',
  xLabel: 'GiB written',
  few: [0.0625, 1, 4, 12],
  all: [0.0625, 1, 4, 16, 32],
  async measure(places, settings) {
    await using daemon = await OwnDaemon.start({ directory: settings.directory, arguments: ['--no-demo'] })
    await daemon.ask('POST', 'volumes', { name: 'bench', sizeBytes: VOLUME_BYTES })
    const samples: Sample[] = []
    let written = 0
    for (const x of places.toSorted((a, b) => a - b)) {
      const say = (series: string, measure: string, value: number) =>
        samples.push({ series, measure, x, value: single(value) })
      await whole(daemon.served('bench').url, 'write', written, x * GIB - written)
      written = x * GIB
      for (const how of ['stop', 'kill'] as const) {
        await daemon.restart(how)
        say(`after a ${how}`, 'start-up, s', daemon.startSeconds)
      }
      say('idle after the start', Measure.resident, await daemon.settledMegabytes())
      const rate = await whole(daemon.served('bench').url, 'read', 0, written)
      say('reads of 1 MiB, everything once', 'MB/s', rate / 1e6)
      say('after everything was read', Measure.resident, resident(daemon.pids))
    }
    return samples
  },
}
