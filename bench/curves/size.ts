import type { Curve, Sample } from './curve.ts'
import { loadSamples, Measure, only, single, whole } from './loads.ts'
import { OwnDaemon } from './own-daemon.ts'

const GIB = 2 ** 30
const WRITTEN_BYTES = GIB / 4

/** Thin volumes of which only the last quarter of a gigabyte is written. */
export const SIZE: Curve = {
  name: 'size',
  title: 'Volume size: thin, with 256 MiB written at its end',
  xLabel: 'GiB',
  few: [1, 1024, 16_384],
  all: [1, 16, 128, 1024, 4096, 16_384],
  async measure(places, settings) {
    await using daemon = await OwnDaemon.start({ directory: settings.directory, arguments: ['--no-demo'] })
    const samples: Sample[] = []
    for (const x of places) {
      const name = `size-${x}`
      await daemon.ask('POST', 'volumes', { name, sizeBytes: x * GIB })
      const written = ['--offset', String(x * GIB - WRITTEN_BYTES), '--length', String(WRITTEN_BYTES)]
      await whole(daemon.served(name).url, 'write', x * GIB - WRITTEN_BYTES, WRITTEN_BYTES)
      const loaded = async (series: string, ...args: readonly string[]) =>
        only(
          await loadSamples(daemon.served(name), ['--depth', '32', ...args], { series, x }, settings),
          Measure.rate,
          Measure.cpu,
          Measure.p99,
        )
      samples.push(...(await loaded('reads of what is written', '--mode', 'randread', ...written)))
      samples.push(...(await loaded('writes over what is written', '--mode', 'randwrite', ...written)))
      samples.push(...(await loaded('reads of holes, all over', '--mode', 'randread')))
      await daemon.restart('stop')
      const say = (measure: string, value: number) =>
        samples.push({ series: 'this volume and all smaller ones', measure, x, value: single(value) })
      say('start-up, s', daemon.startSeconds)
      say(Measure.resident, await daemon.settledMegabytes())
    }
    return samples
  },
}
