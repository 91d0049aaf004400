import { parseDocument } from 'yaml'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { type ConfigField, configFields } from './fields.ts'
import { nearestName } from './nearest-name.ts'

/** A value as it was given, and where, for the sentence that refuses it. */
export interface GivenValue {
  readonly field: ConfigField
  readonly value: unknown
  readonly origin: string
}

/** Variables that the CLI reads and the daemon does not. */
const CLIENT_VARIABLES = ['HOLDFAST_API_CA', 'HOLDFAST_CONFIG']
/** What Kubernetes puts into every pod beside a Service whose name begins with `holdfast`. */
const SERVICE_LINK =
  /^HOLDFAST_(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT(?:_\d+_(?:TCP|UDP)(?:_.+)?)?)$/

const byKey = new Map(configFields.map(field => [field.key, field]))
const byPath = new Map(configFields.map(field => [field.path.join('.'), field]))
const byVariable = new Map(configFields.map(field => [field.variable, field]))

/** The values of a YAML (or JSON) file. Throws ERR_CONFIG_INVALID for bad syntax and for unknown keys. */
export function readFileValues(text: string, fileName: string): GivenValue[] {
  const document = parseDocument(text, { prettyErrors: true })
  const problem = document.errors[0]
  if (problem !== undefined) {
    throw new HoldfastError(
      'ERR_CONFIG_INVALID',
      `${fileName} is not YAML: ${problem.message.split('\n')[0]}`,
    )
  }
  const content: unknown = document.toJS() ?? {}
  if (!isMapping(content)) {
    throw new HoldfastError(
      'ERR_CONFIG_INVALID',
      `${fileName} must hold keys and values, like 'data: /srv/holdfast'`,
    )
  }
  return [...valuesUnder(content, [], fileName)]
}

function* valuesUnder(
  mapping: Record<string, unknown>,
  above: readonly string[],
  fileName: string,
): Generator<GivenValue> {
  for (const [name, value] of Object.entries(mapping)) {
    const path = [...above, name]
    const key = path.join('.')
    const field = byPath.get(key) ?? (isMapping(value) ? undefined : byKey.get(key))
    if (field !== undefined) yield { field, value: asList(field, value), origin: `${key} in ${fileName}` }
    else if (isMapping(value) && isSection(key)) yield* valuesUnder(value, path, fileName)
    else throw unknown(`key '${key}' in ${fileName}`, key, [...byKey.keys()])
  }
}

/** The values of HOLDFAST_* variables. Throws ERR_CONFIG_INVALID for unknown ones. */
export function readEnvironmentValues(
  environment: Readonly<Record<string, string | undefined>>,
): GivenValue[] {
  const given: GivenValue[] = []
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('HOLDFAST_') || value === undefined || value === '') continue
    if (CLIENT_VARIABLES.includes(name) || SERVICE_LINK.test(name)) continue
    const field = byVariable.get(name)
    if (field === undefined) throw unknown(`variable ${name}`, name, [...byVariable.keys()])
    // The CLI's HOLDFAST_API is a URL; ours is HOST:PORT. One shell may hold both commands.
    if (name === 'HOLDFAST_API' && value.includes('://')) continue
    given.push({ field, value: field.repeatable ? fromTexts(field, value.split(',')) : value, origin: name })
  }
  return given
}

/** The values of command-line options, keyed by the field's key. */
export function readFlagValues(flags: Readonly<Record<string, unknown>>): GivenValue[] {
  const given: GivenValue[] = []
  for (const [key, value] of Object.entries(flags)) {
    const field = byKey.get(key)
    if (field === undefined || value === undefined) continue
    given.push({ field, value: asList(field, value), origin: field.flag ?? key })
  }
  return given
}

function asList(field: ConfigField, value: unknown): unknown {
  if (field.repeatable === undefined || isMapping(value)) return value
  const texts = Array.isArray(value) ? value : [value]
  return field.repeatable === 'pairs' ? fromTexts(field, texts.map(String)) : texts
}

function fromTexts(field: ConfigField, texts: readonly string[]): unknown {
  const trimmed = texts.map(text => text.trim())
  return field.repeatable === 'pairs' ? Object.fromEntries(trimmed.map(splitPair)) : trimmed
}

function splitPair(text: string): [key: string, value: string] {
  const at = text.indexOf('=')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSection(key: string): boolean {
  return configFields.some(field => field.path.join('.').startsWith(`${key}.`))
}

function unknown(what: string, name: string, known: readonly string[]): HoldfastError {
  const near = nearestName(name, known)
  const hint = near === null ? '' : `; did you mean '${near}'?`
  return new HoldfastError('ERR_CONFIG_INVALID', `unknown ${what}${hint}`)
}
