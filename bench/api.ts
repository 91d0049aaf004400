import { execFile } from 'node:child_process'
import { parseArgs, promisify } from 'node:util'
import { Daemon } from '../test/lib/daemon.ts'
import { temporaryDirectory } from '../test/lib/temporary-directory.ts'
import { describeCommit, describeMachine } from './machine.ts'
import { type ApiResult, saveResult } from './results.ts'

const run = promisify(execFile)
const SERVER_CPU = 0
const CLIENT_CPU = 1
const CONNECTIONS = 10
const RUN_MARGIN_MS = 30_000
/** What scripts and dashboards ask most. */
const PATHS = ['/healthz', '/v1/volumes', '/v1/volumes/demo', '/metrics']

interface AutocannonResult {
  readonly requests: { readonly average: number }
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly non2xx: number
  readonly errors: number
}

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '5' } } })

using directory = temporaryDirectory('bench-api')
await using daemon = await Daemon.start({ directory: directory.path, cpu: SERVER_CPU })
console.log(`${CONNECTIONS} connections, ${options.seconds} s each, server and client on a CPU of their own`)
const api: ApiResult[] = []
for (const path of PATHS) {
  const autocannon = [
    'autocannon',
    '--json',
    '--connections',
    String(CONNECTIONS),
    '--duration',
    options.seconds,
  ]
  const args = ['-c', String(CLIENT_CPU), 'npx', '--no-install', ...autocannon, `${daemon.apiUrl}${path}`]
  const { stdout } = await run('taskset', args, { timeout: Number(options.seconds) * 1000 + RUN_MARGIN_MS })
  const { requests, latency, non2xx, errors } = JSON.parse(stdout) as AutocannonResult
  const failures = non2xx + errors
  console.log(
    `${path.padEnd(20)} ${requests.average.toFixed(0).padStart(7)} requests/s, ` +
      `p50 ${latency.p50} ms, p99 ${latency.p99} ms, max ${latency.max} ms, ${failures} failed`,
  )
  if (failures > 0) process.exitCode = 1
  api.push({
    path,
    requestsPerSecond: requests.average,
    ...{ p50Ms: latency.p50, p99Ms: latency.p99, maxMs: latency.max, failures },
  })
}
const machine = describeMachine(directory.path)
const file = saveResult('api-', { ...describeCommit(), machine, options, servers: [], summaries: [], api })
console.log(`all figures: ${file}`)
