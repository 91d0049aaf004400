import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { provideNodeModules } from './lib/prepare.mjs'
import { ROOT } from './lib/run.mjs'

const USAGE = `npm run fuzz -- [--seed N] [--minutes M]
  --seed N      repeat the run that printed this seed
  --minutes M   how long each fuzzer goes on (default 10)`

function fail(message) {
  console.error(`${message}\n${USAGE}`)
  process.exit(2)
}

function readOptions() {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, minutes: { type: 'string', default: '10' } },
  })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) fail('--minutes is a positive number')
  if (values.seed !== undefined && !/^\d+$/.test(values.seed)) fail('--seed is a whole number')
  return { seed: values.seed, seconds: Math.ceil(minutes * 60) }
}

const { seed, seconds } = readOptions()
await provideNodeModules()
const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
const child = spawn(process.execPath, [vitest, 'run', '--config', 'vitest.fuzz.config.ts'], {
  cwd: ROOT,
  stdio: 'inherit',
  env: {
    ...process.env,
    HOLDFAST_FUZZ_SECONDS: String(seconds),
    ...(seed === undefined ? {} : { HOLDFAST_FUZZ_SEED: seed }),
  },
})
child.on('exit', code => {
  process.exitCode = code ?? 1
})
