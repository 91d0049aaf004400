import { provideDebianPackages } from './lib/debian-packages.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { runVisible } from './lib/run.mjs'

// `npm run bench:full`: every part of the bench but faults, one after the other, then the page; see bench/README.md.
// A part that fails is named at the end, the others run.
const USAGE = `npm run bench:full -- [options]
  --without A,B       leaves out some of the parts
  --only A,B          runs only some of the parts
  --all-places        the curves at all places`
const needed = ['gcc', 'libc6-dev', 'libiscsi-dev', 'libiscsi-bin']
const others = ['fio', 'tgt', 'istgt', 'nbdkit', 'qemu-utils', 'qemu-system-common', 'nbd-server', 'libisal2']

/** The value of `--name A,B` as a list, or null. */
function listOf(args, name) {
  const at = args.indexOf(name)
  return at < 0 ? null : (args[at + 1] ?? '').split(',')
}

const args = process.argv.slice(2)
const allPlaces = args.includes('--all-places') ? ['--all-places'] : []
const PARTS = [
  { name: 'iscsi', command: ['bench/main.ts'] },
  { name: 'nbd', command: ['bench/nbd/main.ts', '--client', 'own'] },
  { name: 'nbd-fio', command: ['bench/nbd/main.ts'] },
  { name: 'api', command: ['bench/api.ts'] },
  { name: 'conditions', command: ['bench/conditions/main.ts'] },
  { name: 'curves', command: ['bench/curves/main.ts', ...allPlaces] },
  { name: 'replicated', command: ['bench/replicated/main.ts'] },
  { name: 'page', command: ['bench/page/main.ts'] },
]

async function main() {
  if (args.includes('--help')) {
    console.log(`${USAGE}\nparts: ${PARTS.map(({ name }) => name).join(', ')}`)
    return
  }
  const { reason } = await provideDebianPackages(needed)
  if (reason !== null) throw new Error(reason)
  const { reason: leftOut } = await provideDebianPackages(others)
  if (leftOut !== null) console.error(`bench:full: ${leftOut}`)
  await provideNodeModules()
  await build()
  const [without, only] = [listOf(args, '--without') ?? [], listOf(args, '--only')]
  const failed = []
  for (const { name, command } of PARTS) {
    if (without.includes(name) || (only !== null && !only.includes(name))) continue
    console.log(`\n== ${name}`)
    const code = await runVisible(process.execPath, ['--import', 'tsx', ...command])
    if (code !== 0) failed.push(name)
  }
  if (failed.length > 0) throw new Error(`these parts failed: ${failed.join(', ')}`)
}

await main().catch(error => {
  console.error(`bench:full: ${error.message}`)
  process.exitCode = 1
})
