import { HoldfastError } from '../../errors/holdfast-error.ts'

/** Keys by identity, as gnutls psktool writes them: one `identity:hexkey` per line, `#` begins a comment. */
export type PskKeys = ReadonlyMap<string, Buffer>

/** Throws ERR_CONFIG_INVALID naming the line, never its key. */
export function parsePskFile(text: string, fileName: string): PskKeys {
  const keys = new Map<string, Buffer>()
  text.split('\n').forEach((line, index) => {
    const entry = line.trim()
    if (entry === '' || entry.startsWith('#')) return
    const colon = entry.lastIndexOf(':')
    const hex = entry.slice(colon + 1)
    if (colon < 1 || !/^(?:[0-9a-fA-F]{2})+$/.test(hex)) {
      throw new HoldfastError(
        'ERR_CONFIG_INVALID',
        `line ${index + 1} of ${fileName} is not IDENTITY:HEXKEY as psktool writes it`,
      )
    }
    keys.set(entry.slice(0, colon), Buffer.from(hex, 'hex'))
  })
  return keys
}
