import type { Curve, Sample } from './curve.ts'
import { loadSamples, Measure, only, single, whole } from './loads.ts'
import { OwnDaemon } from './own-daemon.ts'

const VOLUME_BYTES = 64 * 2 ** 20
const MADE_AT_ONCE = 4
const LOADED = 'volume-0'

async function makeUpTo(daemon: OwnDaemon, made: number, wanted: number): Promise<void> {
  let next = made
  const make = async () => {
    while (next < wanted) {
      await daemon.ask('POST', 'volumes', { name: `volume-${next++}`, sizeBytes: VOLUME_BYTES })
    }
  }
  await Promise.all(Array.from({ length: MADE_AT_ONCE }, make))
}

async function timed(what: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await what()
  return performance.now() - began
}

/** One daemon with ever more volumes: what one of them gets, and what the others cost while nobody uses them. */
export const VOLUMES: Curve = {
  name: 'volumes',
  title: 'Volumes: one is used, the others are there',
  xLabel: 'volumes',
  few: [1, 100, 1000],
  all: [1, 10, 30, 100, 300, 1000],
  async measure(places, settings) {
    await using daemon = await OwnDaemon.start({ directory: settings.directory, arguments: ['--no-demo'] })
    const samples: Sample[] = []
    let made = 0
    for (const x of places.toSorted((a, b) => a - b)) {
      const say = (series: string, measure: string, value: number) =>
        samples.push({ series, measure, x, value: single(value) })
      const makeMs = await timed(() => makeUpTo(daemon, made, x))
      say('POST /v1/volumes', 'API, ms', makeMs / Math.max(1, x - made))
      if (made === 0) await whole(daemon.served(LOADED).url, 'write', 0, VOLUME_BYTES)
      made = x
      say('GET /v1/volumes', 'API, ms', await timed(() => daemon.ask('GET', 'volumes')))
      const loaded = async (series: string, ...args: readonly string[]) =>
        only(
          await loadSamples(daemon.served(LOADED), ['--depth', '32', ...args], { series, x }, settings),
          Measure.rate,
          Measure.cpu,
          Measure.p99,
        )
      samples.push(...(await loaded('random 4 KiB reads', '--mode', 'randread')))
      samples.push(...(await loaded('random 4 KiB writes', '--mode', 'randwrite')))
      await daemon.restart('stop')
      say('after a stop', 'start-up, s', daemon.startSeconds)
      say('idle after the start', Measure.resident, await daemon.settledMegabytes())
    }
    return samples
  },
}
