// npm start: installs and builds when that is needed, then runs `holdfast dev --peers 3` with the given arguments.
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, statSync, utimesSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { provideDebianPackages } from './lib/debian-packages.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Modification time in ms, or 0 for what is not there. */
function modifiedAt(path) {
  return statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function newestUnder(directory) {
  let newest = 0
  for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
    const path = join(directory, entry.name)
    const isTest = entry.name.endsWith('.test.ts')
    if (!isTest) newest = Math.max(newest, entry.isDirectory() ? newestUnder(path) : modifiedAt(path))
  }
  return newest
}

function run(reason, command, args) {
  console.log(`holdfast: ${reason}: ${command} ${args.join(' ')}`)
  // tsc says on standard output what is wrong.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  console.error(`holdfast: ${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

// Checksums at several times the speed; without it they are computed by an npm package.
await provideDebianPackages(['libisal2'])

const installedAt = modifiedAt('node_modules/.package-lock.json')
if (installedAt === 0) run('dependencies are missing', 'npm', ['ci'])
else if (installedAt < modifiedAt('package-lock.json')) run('dependencies have changed', 'npm', ['ci'])

const builtAt = modifiedAt('dist/.tsbuildinfo')
const sourcesAt = Math.max(newestUnder('src'), modifiedAt('tsconfig.json'), modifiedAt('tsconfig.build.json'))
if (builtAt < sourcesAt || modifiedAt('dist/cli/main.js') === 0) {
  run(builtAt === 0 ? 'not built yet' : 'sources have changed', 'npm', ['run', '--silent', 'build'])
  // tsc leaves it alone when only dates have changed.
  const now = new Date()
  utimesSync(join(root, 'dist/.tsbuildinfo'), now, now)
}

const args = ['dev', '--peers', '3', ...process.argv.slice(2)]
console.log(`holdfast: starting: bin/holdfast ${args.join(' ')}`)
const daemon = spawn(process.execPath, [join(root, 'bin/holdfast'), ...args], { stdio: 'inherit' })

// A terminal's Ctrl-C reaches the daemon by itself as well; it takes both for one wish.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => daemon.kill(signal))
daemon.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
