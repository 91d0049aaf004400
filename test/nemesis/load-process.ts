import { Load, type LoadSettings } from './load.ts'

// node --import tsx test/nemesis/load-process.ts SETTINGS: ends after SIGTERM with one line, the report.
const load = new Load(JSON.parse(process.argv[2] ?? '') as LoadSettings)
process.on('SIGTERM', () => load.stop())
const report = await load.run()
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exit(0)
