import { ALLOCATION_CONTEXT_ID } from '../handshake/handshake.ts'
import { NbdError } from '../wire/constants.ts'
import type { NbdRequest } from '../wire/request.ts'
import { type RequestContext, rangeRefusal } from './request-rules.ts'

/**
 * The effect length of a BLOCK_STATUS request with payload: 64 bits of length, then the context ids wanted. 0 when
 * the payload or the range is not valid; ids that are unknown or come twice are not. extension-ext-header branch.
 */
export function filteredStatusLength(
  data: Buffer,
  at: number,
  request: NbdRequest,
  context: RequestContext,
): number {
  const isOneId = request.payloadBytes === 8 + 4
  if (!isOneId || data.readUInt32BE(at + 8) !== ALLOCATION_CONTEXT_ID) return 0
  const lengthBytes = Number(data.readBigUInt64BE(at))
  const refusal = rangeRefusal(request.offsetBytes, lengthBytes, context, NbdError.EINVAL)
  return refusal === NbdError.NONE ? lengthBytes : 0
}
