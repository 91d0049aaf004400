import { z } from 'zod'
import { configFields } from './fields.ts'
import { type Config, configSchema } from './schema.ts'

const MASK = '********'

/** The configuration as a file would hold it: sizes like 10GiB, durations like 15s, secrets masked. */
export function printableConfig(config: Config): Record<string, unknown> {
  const encoded = structuredClone(z.encode(configSchema, config as z.output<typeof configSchema>))
  for (const { path, secret } of configFields) if (secret) mask(encoded, path)
  return encoded as Record<string, unknown>
}

function mask(encoded: unknown, path: readonly string[]): void {
  let at = encoded as Record<string, unknown>
  for (const part of path.slice(0, -1)) at = at[part] as Record<string, unknown>
  const name = path.at(-1)!
  if (at[name] !== null && at[name] !== undefined) at[name] = MASK
}
