import { z } from 'zod'
import { parseName } from '../lib/names.ts'
import { parseSize } from '../lib/sizes.ts'
import { formatHostPort, parseHostPort } from './host-port.ts'

/** What the schema says of a field beside its type; it becomes the reference and the help texts. */
export interface FieldNotes {
  /** What a value looks like in a help text: SIZE, DURATION, HOST:PORT. */
  readonly value: string
  readonly unit: string
  /** What it is for and why the default is what it is. */
  readonly reason: string
  /** Says how an absent value is filled in, when the default is not a constant. */
  readonly defaultText?: string
  /** Never printed, and never taken from the command line. */
  readonly secret?: boolean
  /** Given several times as a flag, separated by commas in the environment, a list or a mapping in the file. */
  readonly repeatable?: 'list' | 'pairs'
}

export const fieldNotes = z.registry<FieldNotes>()

const DURATION_UNITS: readonly (readonly [name: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]
const PAIR_KEY = /^[a-z][a-z0-9.-]*$/
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** `15s`, `500ms`, `2h` in milliseconds; null for anything else. */
export function parseDuration(text: string): number | null {
  const match = DURATION.exec(text.trim())
  if (match === null) return text.trim() === '0' ? 0 : null
  return Number(match[1]) * DURATION_UNITS.find(([name]) => name === match[2])![1]
}

/** The largest unit that gives a whole number. */
export function formatDuration(ms: number): string {
  const unit = DURATION_UNITS.find(([, length]) => ms !== 0 && ms % length === 0)
  return unit === undefined ? '0' : `${ms / unit[1]}${unit[0]}`
}

function formatSizeExactly(bytes: number): string {
  for (const [name, unit] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes !== 0 && bytes % unit === 0) return `${bytes / unit}${name}`
  }
  return String(bytes)
}

/** Bytes, written like 10GiB. */
export const size = (minBytes: number, maxBytes = Number.MAX_SAFE_INTEGER) =>
  z.codec(z.union([z.string(), z.number()]), z.number().int().min(minBytes).max(maxBytes), {
    decode: (value, context) => {
      try {
        return parseSize(String(value))
      } catch {
        return refuse(context, value, 'a size like 10GiB')
      }
    },
    encode: formatSizeExactly,
  })

/** Milliseconds, written like 15s. */
export const duration = (minMs: number, maxMs: number) =>
  z.codec(z.union([z.string(), z.number()]), z.number().min(minMs).max(maxMs), {
    decode: (value, context) => parseDuration(String(value)) ?? refuse(context, value, 'a duration like 15s'),
    encode: formatDuration,
  })

/** A whole number; flags and the environment bring it as text. */
export const count = (min: number, max: number) =>
  z.codec(z.union([z.string(), z.number()]), z.number().int().min(min).max(max), {
    decode: (value, context) =>
      /^\d+$/.test(String(value)) ? Number(value) : refuse(context, value, 'a whole number'),
    encode: value => value,
  })

export const flag = () =>
  z.codec(z.union([z.string(), z.boolean()]), z.boolean(), {
    decode: (value, context) => {
      const text = String(value)
      if (text === 'true' || text === 'on') return true
      if (text === 'false' || text === 'off') return false
      return refuse(context, value, 'on or off')
    },
    encode: value => value,
  })

export const hostPort = () =>
  z.codec(z.string(), z.object({ host: z.string(), port: z.number() }), {
    decode: (value, context) =>
      parseHostPort(value) ?? refuse(context, value, 'HOST:PORT, with an IPv6 address in brackets'),
    encode: formatHostPort,
  })

/** `http://host:port` or `https://host:port`, without a path. */
export const httpUrl = () =>
  z.string().refine(
    text => {
      if (!URL.canParse(text)) return false
      const { protocol, pathname, search, username } = new URL(text)
      return /^https?:$/.test(protocol) && /^\/?$/.test(pathname) && search === '' && username === ''
    },
    { error: issue => `'${issue.input}' is not a URL like http://etcd1:2379` },
  )

/** What a peer is called; a name that is not allowed is refused with one that is. */
export const peerName = () =>
  z.string().check(context => {
    try {
      parseName('peer', context.value)
    } catch (error) {
      context.issues.push({ code: 'custom', input: context.value, message: (error as Error).message })
    }
  })

/** KEY=VALUE pairs as flags, a mapping in the file. */
export const pairs = () =>
  z.record(z.string(), z.string()).check(context => {
    for (const [key, value] of Object.entries(context.value)) {
      if (!PAIR_KEY.test(key)) refuse(context, key, "a key (a-z, 0-9, '.' and '-', a letter first)")
      else if (value === '') refuse(context, key, `KEY=VALUE: '${key}' has no value`)
    }
  })

function refuse(context: { issues: unknown[]; value?: unknown }, value: unknown, expected: string): never {
  context.issues.push({ code: 'custom', input: value, message: `'${value}' is not ${expected}` })
  return z.NEVER
}
