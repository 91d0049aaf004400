import { BlockStatus } from '../block/block-status.ts'
import { senseOf } from './block-failure.ts'
import type { LogicalUnit } from './logical-unit.ts'
import type { SenseCode, SenseDetails } from './sense.ts'

export interface SanitizeRefusal {
  readonly hasFailed: boolean
  readonly code: SenseCode
  readonly details: SenseDetails
}

/**
 * What a unit answers instead of a command while it is being sanitized, with how far that is, and after a
 * sanitize has failed; null otherwise. SBC-4 §4.11.2, §4.11.4.
 */
export function sanitizeRefusal({ volume: { sanitization } }: LogicalUnit): SanitizeRefusal | null {
  const { refusal, progress } = sanitization
  if (refusal === BlockStatus.ok) return null
  const hasFailed = refusal === BlockStatus.sanitizeFailed
  return { hasFailed, code: senseOf(refusal), details: hasFailed ? {} : { progress } }
}
