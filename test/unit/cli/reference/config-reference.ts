import { configFields } from '../../../../src/config/fields.ts'
import { loadConfig } from '../../../../src/config/load-config.ts'
import { printableConfig } from '../../../../src/config/print-config.ts'

/** docs/reference/config.md, made from the schema. */
export function configReference(): string {
  const defaults = printableConfig(loadConfig({}))
  const rows = configFields.map(field => {
    const text = field.defaultText ?? defaultOf(defaults, field.path)
    const name = [field.key, field.flag, field.variable].filter(form => form !== null)
    return `| ${name.map(form => `\`${form}\``).join('<br>')} | ${field.unit}${field.repeatable ? ', repeatable' : ''} | ${text} | ${field.reason} |`
  })
  return `${HEAD}\n${rows.join('\n')}\n`
}

function defaultOf(defaults: Record<string, unknown>, path: readonly string[]): string {
  let value: unknown = defaults
  for (const part of path) value = (value as Record<string, unknown>)[part]
  if (value === null) return 'none'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(item => `\`${item}\``).join(', ')
  if (typeof value === 'object') return 'none'
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : `\`${value}\``
}

const HEAD = `# Configuration

Every setting has one name, written three ways: a key of the file (\`holdfast serve --config FILE\`, YAML or JSON), a flag,
and an environment variable. A flag wins over the environment, that over the file, that over the default. An unknown key or
variable stops the start. \`holdfast config print\` shows what is in effect, with secrets masked.

Sizes are binary (\`10GiB\`, \`512MiB\`, \`4096\`), durations carry a unit (\`15s\`, \`500ms\`, \`7d\`). In the file, what can be
repeated is a list; in the environment, commas separate. \`iscsi: [...]\` is short for \`iscsi: {listen: [...]}\`, likewise
\`api\`. The daemon passes over a \`HOLDFAST_API\` that is a URL: that one is for the commands.

\`\`\`yaml
data: /srv/holdfast
iscsi:
  - 192.0.2.10:3260
  - "[2001:db8::10]:3260"
api:
  listen: 192.0.2.10:9280
  tls: /etc/holdfast/tls
  tokenFile: /etc/holdfast/token
capacity: 500GiB
label: {zone: a, host: storage-1}
\`\`\`

| name | unit | default | what for, and why this default |
|---|---|---|---|`
