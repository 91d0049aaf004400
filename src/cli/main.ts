import { runCli } from './run-cli.ts'
import { processTerminal } from './terminal.ts'

// Exits at once: after a forced stop there is much left open that nobody should wait for.
process.exit(await runCli(process.argv.slice(2), processTerminal()))
