import type { z } from 'zod'
import { type FieldNotes, fieldNotes } from './value-types.ts'

/** Adds what the reference and the help texts say of a field. */
export function field<T extends z.ZodType>(type: T, notes: FieldNotes): T {
  fieldNotes.add(type, notes)
  return type
}
