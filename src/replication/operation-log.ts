import { RANGE_BYTES } from '../control/layout.ts'

/** What a member remembers of one epoch's writes, trims and zeroes, as it goes over the wire. PROTOCOL rule 18. */
export interface OperationLog {
  /** The member was asked for every operation of the epoch on the ranges that it has. */
  readonly complete: boolean
  /** In the order in which they came, packed: LOGGED_FIELDS numbers of 8 bytes each, in base 64. */
  readonly operations: string
  /** Highest sequence number that has been forgotten, by FORGOTTEN_SLOTS of stream numbers; empty: none has. */
  readonly forgotten: readonly number[]
}

export interface LoggedOperation {
  /** 0: of no client's stream. */
  readonly stream: number
  readonly sequence: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export const LOGGED_FIELDS = 4
export const FORGOTTEN_SLOTS = 64

export type OperationFate =
  /** On every member, or others have overwritten it since: it has ended and must not take effect again. */
  | 'carriedOut'
  /** On some members only: it held its blocks until the end, so nobody has seen it. */
  | 'begun'
  /** No member was asked to. */
  | 'absent'
  | 'unknown'

interface Trace {
  readonly isFound: boolean
  /** All of it, which comes in pieces: a trim's ragged ends first, a long write by range. */
  readonly isWhole: boolean
  /** Something that overlaps it came later, so it had given its blocks back. */
  readonly isOvertaken: boolean
  /** It, or a piece of it, was certainly never asked of this member. */
  readonly isAbsent: boolean
}

const NO_TRACE: Trace = { isFound: false, isWhole: false, isOvertaken: false, isAbsent: false }

interface Span {
  readonly startBytes: number
  readonly endBytes: number
}

/**
 * What became of an operation whose owner is gone. `logs`: of every range that it touches, of every member of S(r);
 * null for one that has told none.
 */
export function fateOf(
  sought: LoggedOperation,
  logs: readonly (readonly (OperationLog | null)[])[],
): OperationFate {
  const first = Math.floor(sought.offsetBytes / RANGE_BYTES)
  const traces = logs.flatMap((ofRange, at) => {
    const part = partIn(first + at, sought)
    return ofRange.map(log => (log === null ? NO_TRACE : traceIn(log, sought, part)))
  })
  if (traces.some(({ isOvertaken }) => isOvertaken)) return 'carriedOut'
  if (traces.length > 0 && traces.every(({ isWhole }) => isWhole)) return 'carriedOut'
  if (!traces.some(({ isAbsent }) => isAbsent)) return 'unknown'
  return traces.some(({ isFound }) => isFound) ? 'begun' : 'absent'
}

export function packOperations(operations: readonly LoggedOperation[]): string {
  const numbers = new Float64Array(operations.length * LOGGED_FIELDS)
  for (const [index, { stream, sequence, offsetBytes, lengthBytes }] of operations.entries()) {
    numbers.set([stream, sequence, offsetBytes, lengthBytes], index * LOGGED_FIELDS)
  }
  return Buffer.from(numbers.buffer).toString('base64')
}

/** What members of this range were to do of it. */
function partIn(range: number, { offsetBytes, lengthBytes }: LoggedOperation): Span {
  return {
    startBytes: Math.max(offsetBytes, range * RANGE_BYTES),
    endBytes: Math.min(offsetBytes + lengthBytes, (range + 1) * RANGE_BYTES),
  }
}

function traceIn(
  { operations, complete, forgotten }: OperationLog,
  sought: LoggedOperation,
  part: Span,
): Trace {
  const bytes = Buffer.from(operations, 'base64')
  const pieces: Span[] = []
  let isOvertaken = false
  const size = LOGGED_FIELDS * 8
  for (let at = 0; at + size <= bytes.length; at += size) {
    const isIt = bytes.readDoubleLE(at) === sought.stream && bytes.readDoubleLE(at + 8) === sought.sequence
    const startBytes = bytes.readDoubleLE(at + 16)
    const endBytes = startBytes + bytes.readDoubleLE(at + 24)
    if (isIt) pieces.push({ startBytes, endBytes })
    else if (pieces.length > 0 && overlaps(sought, startBytes, endBytes)) isOvertaken = true
  }
  const isForgotten = (forgotten[sought.stream % FORGOTTEN_SLOTS] ?? 0) >= sought.sequence
  const isWhole = pieces.length > 0 && cover(pieces, part)
  const isAbsent = complete && !isWhole && !isForgotten
  return { isFound: pieces.length > 0, isWhole, isOvertaken, isAbsent }
}

function cover(pieces: readonly Span[], { startBytes, endBytes }: Span): boolean {
  let at = startBytes
  for (const piece of [...pieces].sort((a, b) => a.startBytes - b.startBytes)) {
    if (piece.startBytes <= at) at = Math.max(at, piece.endBytes)
  }
  return at >= endBytes
}

function overlaps(
  { offsetBytes, lengthBytes }: LoggedOperation,
  startBytes: number,
  endBytes: number,
): boolean {
  return startBytes < offsetBytes + lengthBytes && endBytes > offsetBytes
}
