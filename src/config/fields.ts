import { z } from 'zod'
import { configSchema } from './schema.ts'
import { type FieldNotes, fieldNotes } from './value-types.ts'

/** One thing that can be configured, under its one name. */
export interface ConfigField extends FieldNotes {
  /** `limits.loginTime`; what a section is about goes by its name: `iscsi`. */
  readonly key: string
  /** Where it is in the decoded configuration. */
  readonly path: readonly string[]
  /** `--limits-login-time`; null for secrets. */
  readonly flag: string | null
  /** `HOLDFAST_LIMITS_LOGIN_TIME`. */
  readonly variable: string
}

/** Go by their section's name: `iscsi` is `iscsi.listen`, `etcd` is `etcd.urls`. */
const SECTIONS_OWN: readonly string[] = ['listen', 'urls']

function* walk(schema: z.ZodType, path: readonly string[]): Generator<ConfigField> {
  const notes = fieldNotes.get(schema)
  if (notes !== undefined) {
    yield describe(notes, path)
    return
  }
  const inner = schema instanceof z.ZodPrefault ? schema.unwrap() : schema
  if (!(inner instanceof z.ZodObject)) return
  for (const [name, child] of Object.entries(inner.shape)) yield* walk(child as z.ZodType, [...path, name])
}

function describe(notes: FieldNotes, path: readonly string[]): ConfigField {
  const named = SECTIONS_OWN.includes(path.at(-1)!) ? path.slice(0, -1) : path
  const words = named.flatMap(part => part.replace(/[A-Z]/g, letter => `-${letter}`).split('-'))
  return {
    ...notes,
    key: named.join('.'),
    path,
    flag: notes.secret ? null : `--${words.join('-').toLowerCase()}`,
    variable: `HOLDFAST_${words.join('_').toUpperCase()}`,
  }
}

/** Every field of the schema, in its order. */
export const configFields: readonly ConfigField[] = [...walk(configSchema, [])]
