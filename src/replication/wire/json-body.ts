import { invariant } from '../../lib/invariant.ts'
import { BODY_BYTES_MAX } from './limits.ts'

const EMPTY = Buffer.alloc(0)

/** Nothing for null, else JSON. One that is longer than BODY_BYTES_MAX is our own bug. */
export function encodeBody(body: unknown): Buffer {
  if (body === null || body === undefined) return EMPTY
  const bytes = Buffer.from(JSON.stringify(body))
  invariant(bytes.length <= BODY_BYTES_MAX, 'what a control request says fits into a frame')
  return bytes
}

/** Null for nothing, undefined for what is no JSON. */
export function decodeBody(content: Buffer, at: number, bodyBytes: number): unknown {
  if (bodyBytes === 0) return null
  try {
    return JSON.parse(content.toString('utf8', at, at + bodyBytes)) as unknown
  } catch {
    return undefined
  }
}
