import { HoldfastError } from '../../errors/holdfast-error.ts'

/** What SANITIZE asks for. SBC-4 §4.11. */
export interface SanitizeOrder {
  readonly method: 'overwrite' | 'blockErase'
  /** One logical block of what is written; empty for a block erase. */
  readonly pattern: Buffer
  readonly passes: number
  /** Consecutive passes write the inverse; the last one writes the pattern. */
  readonly inverts: boolean
  /** AUSE: a failed sanitize may be left without a successful one. */
  readonly unrestrictedExit: boolean
}

/** State of the volume, kept in the metadata: a sanitize that runs, or one that failed. */
export interface SanitizeState {
  readonly order: SanitizeOrder
  readonly passesDone: number
  readonly hasFailed: boolean
}

const MAGIC = Buffer.from('HFSZ', 'ascii')
const VERSION = 1
const HEADER_BYTES = MAGIC.length + 1

/** Magic, one byte of version, then JSON with the pattern in hex; null is a volume that is not being sanitized. */
export function encodeSanitize(state: SanitizeState | null): Buffer {
  const stored =
    state === null
      ? null
      : { ...state, order: { ...state.order, pattern: state.order.pattern.toString('hex') } }
  return Buffer.concat([MAGIC, Buffer.of(VERSION), Buffer.from(JSON.stringify(stored), 'utf8')])
}

/** Throws ERR_METADATA_UNAVAILABLE on what this version did not write: nothing is served then. */
export function decodeSanitize(bytes: Buffer): SanitizeState | null {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes[MAGIC.length] !== VERSION) {
    throw new HoldfastError(
      'ERR_METADATA_UNAVAILABLE',
      'the stored sanitize state has a format that this version does not know',
    )
  }
  const stored = JSON.parse(bytes.toString('utf8', HEADER_BYTES))
  if (stored === null) return null
  return { ...stored, order: { ...stored.order, pattern: Buffer.from(stored.order.pattern, 'hex') } }
}

/** The data of one pass, `lengthBytes` long. */
export function patternOfPass(
  { pattern, passes, inverts }: SanitizeOrder,
  pass: number,
  lengthBytes: number,
): Buffer {
  const data = Buffer.alloc(lengthBytes, pattern)
  const isInverse = inverts && (passes - 1 - pass) % 2 === 1
  if (isInverse) for (let at = 0; at < lengthBytes; at++) data[at] = data[at]! ^ 0xff
  return data
}
