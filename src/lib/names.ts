import { HoldfastError } from '../errors/holdfast-error.ts'

/** Our own targets: this and a name. CONTRACT.md "Names". */
export const TARGET_PREFIX = 'iqn.2026-11.io.holdfast:'
/** RFC 7143 §4.2.7.1. */
const ISCSI_NAME_BYTES_MAX = 223

const NAME_LENGTH_MAX = 128
const NAME = /^[a-z0-9][a-z0-9.-]{0,127}$/

// RFC 7143 §4.2.7.3-5; RFC 3722 leaves these characters of ASCII.
const IQN = /^iqn\.\d{4}-(?:0[1-9]|1[0-2])\.[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[a-z0-9.:-]+)?$/
const EUI = /^eui\.[0-9a-f]{16}$/
const NAA = /^naa\.(?:[0-9a-f]{16}|[0-9a-f]{32})$/
const LOOKS_LIKE_ISCSI_NAME = /^(?:iqn\.\d{4}-|eui\.|naa\.)|:/i

/** The nearest allowed name, or null when nothing of `text` can be kept. */
export function suggestName(text: string): string | null {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, NAME_LENGTH_MAX)
    .replace(/-+$/, '')
  return NAME.test(name) ? name : null
}

/** A volume's or peer's name as it is. Throws ERR_NAME_INVALID with the rule and a suggestion. */
export function parseName(kind: 'volume' | 'peer' | 'target', text: string): string {
  if (NAME.test(text)) return text
  const suggestion = suggestName(text)
  const rule = `1 to ${NAME_LENGTH_MAX} of a-z, 0-9, '.' and '-', a letter or digit first`
  const instead = suggestion === null ? '' : `; '${suggestion}' would do`
  throw new HoldfastError('ERR_NAME_INVALID', `'${text}' is not a name for a ${kind} (${rule})${instead}`)
}

/** An iSCSI name of either end in lower case, as names are compared (RFC 7143 §4.2.7.1), or null. */
export function normalizeIscsiName(text: string): string | null {
  const name = text.toLowerCase()
  if (name.length > ISCSI_NAME_BYTES_MAX) return null
  return IQN.test(name) || EUI.test(name) || NAA.test(name) ? name : null
}

/** As normalizeIscsiName. Throws ERR_NAME_INVALID naming the text and the forms. */
export function parseIscsiName(text: string): string {
  const name = normalizeIscsiName(text)
  if (name !== null) return name
  throw new HoldfastError(
    'ERR_NAME_INVALID',
    `'${text}' is not an iSCSI name: write iqn.YYYY-MM.DOMAIN[:NAME], eui. with 16 or naa. with 16 or 32 hex digits`,
  )
}

/** TARGET of the command line: an iSCSI name, or what follows our colon. Throws ERR_NAME_INVALID. */
export function parseTargetName(text: string): string {
  if (LOOKS_LIKE_ISCSI_NAME.test(text)) return parseIscsiName(text)
  return TARGET_PREFIX + parseName('target', text)
}
