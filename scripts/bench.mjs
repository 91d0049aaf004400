import { provideDebianPackages } from './lib/debian-packages.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { runVisible } from './lib/run.mjs'

// `npm run bench`: builds, then measures Holdfast beside tgt and istgt; bench/README.md says how to read the result.
const args = process.argv.slice(2)
const { reason } = await provideDebianPackages(['gcc', 'libc6-dev', 'libiscsi-dev', 'libiscsi-bin'])
if (reason !== null) {
  console.error(`bench: ${reason}`)
  process.exit(1)
}
// Servers that are missing are left out, and named.
await provideDebianPackages(['tgt', 'istgt', 'libisal2'])
await provideNodeModules()
if (!args.includes('--help')) await build()
process.exitCode = await runVisible(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...args])
