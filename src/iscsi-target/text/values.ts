/** The forms that values take. RFC 7143 §6.1. */

/** Answers and words that stand in place of a value. RFC 7143 §6.2. */
export const REJECT = 'Reject'
export const IRRELEVANT = 'Irrelevant'
export const NOT_UNDERSTOOD = 'NotUnderstood'
export const NONE = 'None'

const DECIMAL_OR_HEX = /^(?:\d{1,15}|0[xX][0-9a-fA-F]{1,12})$/
const HEX = /^0[xX][0-9a-fA-F]+$/
const BASE64 = /^0[bB](?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const PREFIX_CHARACTERS = 2

/** A whole number in decimal or hexadecimal, or null. */
export function parseNumber(value: string): number | null {
  return DECIMAL_OR_HEX.test(value) ? Number(value) : null
}

export function parseBoolean(value: string): boolean | null {
  return value === 'Yes' ? true : value === 'No' ? false : null
}

export function formatBoolean(value: boolean): string {
  return value ? 'Yes' : 'No'
}

export function parseList(value: string): readonly string[] {
  return value.split(',')
}

/** A hexadecimal (0x) or base64 (0b) constant of 1 to `bytesMax` bytes, or null. */
export function parseBinary(value: string, bytesMax: number): Buffer | null {
  const digits = value.slice(PREFIX_CHARACTERS)
  const hex = HEX.test(value)
  if (!hex && !BASE64.test(value)) return null
  const bytes = hex
    ? Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
    : Buffer.from(digits, 'base64')
  return bytes.length > 0 && bytes.length <= bytesMax ? bytes : null
}

export function formatBinary(bytes: Buffer): string {
  return `0x${bytes.toString('hex')}`
}
