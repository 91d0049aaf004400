import type { z } from 'zod'
import { problem } from '../schemas.ts'

const refused = {
  description: 'refused or failed',
  content: { 'application/problem+json': { schema: problem } },
}

/** The responses of a route: its answer, and that everything else is a problem. */
export function answers<Status extends number, T extends z.ZodType>(status: Status, schema: T) {
  return { [status]: schema, '4xx': refused, '5xx': refused } as { [S in Status]: T }
}
