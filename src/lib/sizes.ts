import { HoldfastError } from '../errors/holdfast-error.ts'

const UNITS: readonly (readonly [name: string, bytes: number])[] = [
  ['PiB', 2 ** 50],
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
]
const SIZE = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i

/** `10GiB`, `10G`, `512M`, `4096`: all binary units. Throws ERR_SIZE_INVALID naming the text. */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim())
  const letter = match?.[2]?.toUpperCase()
  const unit = letter === undefined ? 1 : UNITS.find(([name]) => name.startsWith(letter))![1]
  const bytes = match === null ? Number.NaN : Number(match[1]) * unit
  if (!Number.isSafeInteger(bytes)) {
    throw new HoldfastError(
      'ERR_SIZE_INVALID',
      `'${text}' is not a size: write it like 10GiB, 512MiB or 4096`,
    )
  }
  return bytes
}

/** The shortest exact or two-digit form: 1073741824 becomes `1GiB`, 1500 becomes `1.46KiB`. */
export function formatSize(bytes: number): string {
  for (const [name, unit] of UNITS) {
    if (bytes >= unit) return `${Number((bytes / unit).toFixed(2))}${name}`
  }
  return `${bytes}B`
}
