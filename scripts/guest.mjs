import { parseArgs } from 'node:util'
import { missingChecks, provideGuest } from './lib/guest-part.mjs'
import { addUpSections, guestSections, runGuestSections } from './lib/guest-sections.mjs'
import { removeLeftovers } from './lib/leftovers.mjs'
import { build, provideNodeModules } from './lib/prepare.mjs'
import { exitOnSignals } from './lib/run.mjs'

// `npm run test:guest [-- SECTION…]`: the guest tests alone, every check visible; a section is a part of a file's name.
// `npm run test:guest -- --break [SECTION…]`: that they find what test/guest/break spoils.
const { values, positionals } = parseArgs({
  options: { break: { type: 'boolean', default: false } },
  allowPositionals: true,
})

async function runSections(guest, words) {
  await build()
  const files = guestSections(words)
  if (files.length === 0) {
    console.log(`no section is called ${words.join(' or ')}`)
    return 2
  }
  const began = performance.now()
  const sections = await runGuestSections(guest, files, { ended: ({ output }) => console.log(output) })
  for (const { seconds, file, code } of sections)
    console.log(`${seconds.toFixed(0).padStart(5)} s  ${file}${code === 0 ? '' : '  FAILED'}`)
  console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  in all`)
  const { passed, failed, passedNames } = addUpSections(sections)
  const missing = words.length === 0 ? missingChecks(passedNames) : []
  for (const name of missing) console.log(`named check that did not pass: ${name}`)
  console.log(`${passed} passed, ${failed} failed`)
  return failed > 0 || missing.length > 0 ? 1 : 0
}

async function main() {
  exitOnSignals()
  await removeLeftovers()
  const guest = await provideGuest()
  if (guest.reason !== null) {
    console.log(`skipped guest: ${guest.reason}`)
    return 0
  }
  await provideNodeModules()
  if (!values.break) return runSections(guest, positionals)
  const { runBreaks } = await import('./lib/guest-breaks.mjs')
  return runBreaks(guest, positionals)
}

process.exitCode = await main()
