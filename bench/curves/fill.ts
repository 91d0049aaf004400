import type { Curve, Sample } from './curve.ts'
import { loadSamples, Measure, only, single, whole } from './loads.ts'
import { OwnDaemon } from './own-daemon.ts'

const MIB = 2 ** 20
const CAPACITY_BYTES = 4096 * MIB
/** Of the volume that is measured; part of what is filled. */
const USED_BYTES = 128 * MIB

/** A brick of 4 GiB that fills up. */
export const FILL: Curve = {
  name: 'fill',
  title: 'Brick fill: a brick of 4 GiB',
  xLabel: '% of the brick',
  few: [5, 50, 95],
  all: [5, 20, 40, 60, 80, 90, 95],
  async measure(places, settings) {
    const capacity = ['--capacity', String(CAPACITY_BYTES)]
    await using daemon = await OwnDaemon.start({
      directory: settings.directory,
      arguments: ['--no-demo', ...capacity],
    })
    await daemon.ask('POST', 'volumes', { name: 'used', sizeBytes: USED_BYTES })
    await daemon.ask('POST', 'volumes', { name: 'filler', sizeBytes: CAPACITY_BYTES })
    await whole(daemon.served('used').url, 'write', 0, USED_BYTES)
    const samples: Sample[] = []
    let filled = 0
    for (const x of places.toSorted((a, b) => a - b)) {
      const wanted = Math.floor(((x / 100) * CAPACITY_BYTES) / MIB) * MIB - USED_BYTES
      const say = (series: string, measure: string, value: number) =>
        samples.push({ series, measure, x, value: single(value) })
      if (wanted > filled) {
        const rate = await whole(daemon.served('filler').url, 'write', filled, wanted - filled)
        say('first writes of 1 MiB', 'MB/s', rate / 1e6)
        filled = wanted
      }
      const loaded = async (series: string, ...args: readonly string[]) =>
        only(
          await loadSamples(daemon.served('used'), ['--depth', '32', ...args], { series, x }, settings),
          Measure.rate,
          Measure.cpu,
          Measure.p99,
        )
      samples.push(...(await loaded('random 4 KiB reads', '--mode', 'randread')))
      samples.push(...(await loaded('random 4 KiB writes', '--mode', 'randwrite')))
    }
    return samples
  },
}
