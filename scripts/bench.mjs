import { provideDebianPackages } from './lib/debian-packages.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { runVisible } from './lib/run.mjs'

// `npm run bench`: builds, then measures Holdfast beside tgt; bench/README.md says how to read the result.
const args = process.argv.slice(2)
const { reason } = await provideDebianPackages([
  'gcc',
  'libc6-dev',
  'libiscsi-dev',
  'libiscsi-bin',
  'tgt',
  'libisal2',
])
if (reason !== null) {
  console.error(`bench: ${reason}`)
  process.exit(1)
}
await provideDebianPackages(['libisal2'])
await provideNodeModules()
const withoutHoldfast = args.join(' ').includes('--only tgt') || args.includes('--help')
if (!withoutHoldfast) await build()
process.exitCode = await runVisible(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...args])
