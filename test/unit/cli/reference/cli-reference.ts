import type { Argument, Command, Option } from 'commander'
import { buildProgram } from '../../../../src/cli/program.ts'
import { processTerminal } from '../../../../src/cli/terminal.ts'
import { configFields } from '../../../../src/config/fields.ts'

/** Options that every command has, shown once. */
const COMMON = new Set(['--api', '--api-token-file', '--api-ca', '--json'])
const SETTINGS = new Set(configFields.map(field => field.flag))

/** docs/reference/cli.md, made from the commands themselves. */
export async function cliReference(): Promise<string> {
  const program = await buildProgram(processTerminal(), ['help'], '0')
  const common = program.options.filter(option => COMMON.has(option.long ?? ''))
  return `${HEAD}\n${common.map(optionLine).join('\n')}\n${[...sections(program, 'holdfast')].join('')}`
}

function* sections(command: Command, path: string): Generator<string> {
  for (const child of command.commands) {
    const name = `${path} ${child.name()}`
    if (child.commands.length === 0) yield section(child, name)
    else yield* sections(child, name)
  }
}

function section(command: Command, name: string): string {
  const usage = [name, ...command.registeredArguments.map(argumentText), '[options]'].join(' ')
  const own = command.options.filter(
    option => !COMMON.has(option.long ?? '') || name.endsWith(' dev') || name.endsWith(' serve'),
  )
  const settings = own.some(option => option.long === '--store-dirty-cap')
  const listed = own.filter(option => !settings || !SETTINGS.has(option.long ?? ''))
  const lines = [...listed.map(optionLine), ...(settings ? ['- every flag of [config.md](config.md)'] : [])]
  return `\n## \`${usage}\`\n\n${command.description()}\n${lines.length === 0 ? '' : `\n${lines.join('\n')}\n`}`
}

function argumentText(argument: Argument): string {
  return `<${argument.name()}>`
}

function optionLine(option: Option): string {
  return `- \`${option.flags}\`: ${option.description}`
}

const HEAD = `# Commands

\`holdfast\` talks to a daemon over its API; \`dev\`, \`serve\`, \`config\` and \`cluster\` work without one. Sizes are binary: \`10GiB\`,
\`512MiB\`, \`4096\`. TARGET is an IQN, or what follows the colon of ours (\`demo\`). Secrets are read from files or from standard
input (\`-\`), never from the command line. People get tables, programs \`--json\`. Progress goes to standard error: a bar on
a terminal, a line now and then elsewhere.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused or failed; one sentence on standard error says why |
| 2 | usage |
| 3 | the daemon cannot be reached |

## Options of every command

They may stand before or after the verb.
`
