import { holdYoungHeap } from '../daemon/young-heap.ts'

// Before anything else is loaded: V8 never gives back what it grows by meanwhile.
holdYoungHeap()
const { runCli } = await import('./run-cli.ts')
const { processTerminal } = await import('./terminal.ts')
const { StandardOutput } = await import('./standard-output.ts')

const terminal = processTerminal()
const output = new StandardOutput(terminal.stdout)
const code = await runCli(process.argv.slice(2), terminal)
// Exits then: after a forced stop there is much left open that nobody should wait for.
process.exit(await output.end(code, terminal.stderr))
