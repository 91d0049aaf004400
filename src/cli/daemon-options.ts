import { type Command, Option } from 'commander'
import type { ConfigField } from '../config/fields.ts'
import { gather } from './commands/arguments.ts'

/** What the contract names is listed by itself; the rest under a heading of its own. */
const COMMON = new Set([
  'data',
  'iscsi',
  'advertiseIscsi',
  'nbd',
  'nbd.unix',
  'nbd.tls',
  'nbd.pskFile',
  'nbd.allowPlain',
  'advertiseNbd',
  'tlsDir',
  'api',
  'etcd',
  'peer',
  'peer.name',
  'advertisePeer',
  'capacity',
  'label',
])

/** Adds the flag of every configurable field. */
export function addConfigOptions(command: Command, fields: readonly ConfigField[]): Command {
  for (const field of fields) {
    if (field.flag === null) continue
    // A switch that is given without a value is on.
    const value = field.unit === 'switch' ? `[${field.value}]` : `<${field.value}>`
    const option = new Option(`${field.flag} ${value}`, describe(field))
    if (field.repeatable !== undefined) option.argParser(gather)
    command.addOption(
      COMMON.has(field.key) ? option : option.helpGroup('Settings (docs/reference/config.md):'),
    )
  }
  return command
}

/** The given flags by configuration key. */
export function configFlags(command: Command, fields: readonly ConfigField[]): Record<string, unknown> {
  const given = command.optsWithGlobals()
  const flags: Record<string, unknown> = {}
  for (const field of fields) {
    if (field.flag === null) continue
    const value = given[new Option(`${field.flag} <value>`).attributeName()]
    if (value !== undefined) flags[field.key] = value
  }
  return flags
}

function describe(field: ConfigField): string {
  const sentence = field.reason.split(/[.;:] |\.$/)[0]!
  return field.repeatable === undefined ? sentence : `${sentence} (repeatable)`
}
