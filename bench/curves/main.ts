import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildClient } from '../client.ts'
import { describeCommit, describeMachine } from '../machine.ts'
import { spreadText, table } from '../report.ts'
import { saveResult } from '../results.ts'
import { ALLOCATED } from './allocated.ts'
import { type Curve, chooseCurves, type Sample } from './curve.ts'
import { FILL } from './fill.ts'
import { REPLICAS } from './replicas.ts'
import { DEPTH, SESSIONS } from './server-curves.ts'
import { SIZE } from './size.ts'
import { VOLUMES } from './volumes.ts'

const CURVES: readonly Curve[] = [DEPTH, SESSIONS, VOLUMES, SIZE, FILL, REPLICAS, ALLOCATED]
const USAGE = `npm run bench:curves -- [options]
  --curve A,B         some of ${CURVES.map(({ name }) => name).join(', ')} (all)
  --all-places        at all places, not only at a few
  --places A,B        at these places: numbers on the curve's axis
  --rounds N          how often each load is measured (3)
  --seconds S         measured time of each (1)
  --directory DIR     where all volumes live (the system's temporary directory)`

const { values: options } = parseArgs({
  options: {
    curve: { type: 'string', default: '' },
    'all-places': { type: 'boolean', default: false },
    places: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    directory: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
})

function placesOf(curve: Curve): readonly number[] {
  const given = options.places.split(',').filter(Boolean).map(Number)
  if (given.some(place => !(place > 0))) throw new Error('--places are numbers above 0')
  if (given.length > 0) return given
  return options['all-places'] ? curve.all : curve.few
}

/** One table per measure: places down, lines across. */
function tables({ xLabel }: Curve, samples: readonly Sample[]): string {
  const measures = [...new Set(samples.map(({ measure }) => measure))]
  return measures
    .map(measure => {
      const of = samples.filter(sample => sample.measure === measure)
      const series = [...new Set(of.map(sample => sample.series))]
      const places = [...new Set(of.map(({ x }) => x))].toSorted((a, b) => a - b)
      const cell = (x: number, line: string) => {
        const found = of.find(sample => sample.x === x && sample.series === line)
        return found === undefined ? '' : spreadText(found.value)
      }
      const rows = places.map(x => [String(x), ...series.map(line => cell(x, line))])
      return `${measure}\n${table([[xLabel, ...series], ...rows])}`
    })
    .join('\n\n')
}

async function run(curve: Curve, parent: string): Promise<void> {
  const directory = join(parent, curve.name)
  mkdirSync(directory)
  process.stderr.write(`curve ${curve.name}\n`)
  const settings = { directory, seconds: Number(options.seconds), rounds: Number(options.rounds) }
  try {
    const samples = await curve.measure(placesOf(curve), settings)
    const { name, title, xLabel } = curve
    console.log(`\n${title}\n\n${tables(curve, samples)}`)
    const file = saveResult(`curve-${name}-`, {
      ...describeCommit(),
      machine: describeMachine(directory),
      ...{ options, servers: [], summaries: [] },
      curve: { name, title, xLabel, samples },
    })
    console.log(`\nall samples: ${file}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  const curves = chooseCurves(CURVES, options.curve.split(',').filter(Boolean))
  await buildClient()
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-curves-'))
  try {
    for (const curve of curves) await run(curve, directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
