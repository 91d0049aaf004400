import { holdYoungHeap } from '../daemon/young-heap.ts'

// Before anything else is loaded: V8 never gives back what it grows by meanwhile.
holdYoungHeap()
const { runCli } = await import('./run-cli.ts')
const { processTerminal } = await import('./terminal.ts')

// Exits at once: after a forced stop there is much left open that nobody should wait for.
process.exit(await runCli(process.argv.slice(2), processTerminal()))
