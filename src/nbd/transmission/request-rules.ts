import type { BlockDevice } from '../../block/block-device.ts'
import { PAYLOAD_BYTES_MAX, PREFERRED_BLOCK_BYTES, STATUS_PAYLOAD_BYTES_MAX } from '../limits.ts'
import { CommandFlag, NbdCommand, NbdError, ReplyStyle } from '../wire/constants.ts'
import type { NbdRequest } from '../wire/request.ts'

/** What decides whether a request is valid, apart from the request. */
export interface RequestContext {
  readonly device: BlockDevice
  readonly readOnly: boolean
  readonly style: ReplyStyle
  /** base:allocation was selected. */
  readonly blockStatus: boolean
  /** The client may change the size. */
  readonly resizable: boolean
}

/** "Command flags": which go with which command. FUA goes with all of them. */
function flagsAllowed(command: number, context: RequestContext): number {
  const chunked = context.style !== ReplyStyle.simple
  const extended = context.style === ReplyStyle.extended
  switch (command) {
    case NbdCommand.READ:
      return CommandFlag.FUA | (chunked ? CommandFlag.DF : 0)
    case NbdCommand.WRITE:
      return CommandFlag.FUA | (extended ? CommandFlag.PAYLOAD_LEN : 0)
    case NbdCommand.WRITE_ZEROES:
      return CommandFlag.FUA | CommandFlag.NO_HOLE | CommandFlag.FAST_ZERO
    case NbdCommand.BLOCK_STATUS:
      return CommandFlag.FUA | CommandFlag.REQ_ONE | (extended ? CommandFlag.PAYLOAD_LEN : 0)
    default:
      return CommandFlag.FUA
  }
}

/** The error that a request deserves before anything is done, or NONE. DISC is not asked about. */
export function refusalOf(request: NbdRequest, context: RequestContext): NbdError {
  const { command, flags } = request
  if (command > NbdCommand.RESIZE) return NbdError.EINVAL
  if ((flags & ~flagsAllowed(command, context)) !== 0) return NbdError.EINVAL
  if (command === NbdCommand.RESIZE) return context.resizable ? NbdError.NONE : NbdError.EPERM
  if (command === NbdCommand.FLUSH) {
    return request.offsetBytes === 0 && request.lengthBytes === 0 ? NbdError.NONE : NbdError.EINVAL
  }
  if (command === NbdCommand.WRITE) {
    // "NBD_CMD_FLAG_PAYLOAD_LEN": with extended headers a write always says so.
    if (request.payloadBytes !== request.lengthBytes) return NbdError.EINVAL
    return writeRefusal(request, context)
  }
  if (command === NbdCommand.WRITE_ZEROES) return zeroRefusal(request, context)
  if (command === NbdCommand.TRIM && context.readOnly) return NbdError.EPERM
  if (command === NbdCommand.READ && request.lengthBytes > PAYLOAD_BYTES_MAX) {
    return context.style === ReplyStyle.simple ? NbdError.EINVAL : NbdError.EOVERFLOW
  }
  if (command === NbdCommand.BLOCK_STATUS) return statusRefusal(request, context)
  return rangeRefusal(request.offsetBytes, request.lengthBytes, context, NbdError.EINVAL)
}

function writeRefusal(request: NbdRequest, context: RequestContext): NbdError {
  if (context.readOnly) return NbdError.EPERM
  return rangeRefusal(request.offsetBytes, request.lengthBytes, context, NbdError.ENOSPC)
}

function zeroRefusal(request: NbdRequest, context: RequestContext): NbdError {
  const refusal = writeRefusal(request, context)
  if (refusal !== NbdError.NONE || (request.flags & CommandFlag.FAST_ZERO) === 0) return refusal
  // Only a hole over whole blocks is sure to cost less than writing them.
  const whole =
    request.offsetBytes % PREFERRED_BLOCK_BYTES === 0 && request.lengthBytes % PREFERRED_BLOCK_BYTES === 0
  return whole && (request.flags & CommandFlag.NO_HOLE) === 0 ? NbdError.NONE : NbdError.ENOTSUP
}

function statusRefusal(request: NbdRequest, context: RequestContext): NbdError {
  if (!context.blockStatus) return NbdError.EINVAL
  // The effect length is in the payload, and is looked at when that has come.
  if (request.payloadBytes > 0) {
    return request.payloadBytes <= STATUS_PAYLOAD_BYTES_MAX ? NbdError.NONE : NbdError.EINVAL
  }
  return rangeRefusal(request.offsetBytes, request.lengthBytes, context, NbdError.EINVAL)
}

/** "Size constraints". `beyond` is what a request past the end is told. */
export function rangeRefusal(
  offsetBytes: number,
  lengthBytes: number,
  context: RequestContext,
  beyond: NbdError,
): NbdError {
  const { blockSizeBytes, sizeBytes } = context.device
  if (lengthBytes === 0) return NbdError.EINVAL
  if (offsetBytes + lengthBytes > sizeBytes) return beyond
  return offsetBytes % blockSizeBytes === 0 && lengthBytes % blockSizeBytes === 0
    ? NbdError.NONE
    : NbdError.EINVAL
}
