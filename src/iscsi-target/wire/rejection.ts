/** Why a PDU is refused. RFC 7143 §11.17.1. */
export const RejectReason = {
  dataDigestError: 0x02,
  snackReject: 0x03,
  protocolError: 0x04,
  commandNotSupported: 0x05,
  tooManyImmediateCommands: 0x06,
  taskInProgress: 0x07,
  invalidDataAck: 0x08,
  invalidPduField: 0x09,
  outOfResources: 0x0a,
  waitingForLogout: 0x0c,
} as const
export type RejectReason = (typeof RejectReason)[keyof typeof RejectReason]

/** What a decoder answers when a peer sent something wrong; made once each, never per PDU. */
export interface PduRejection {
  readonly reason: RejectReason
  /** For the log and the counter's label. */
  readonly fault: string
}

export function rejection(reason: RejectReason, fault: string): PduRejection {
  return Object.freeze({ reason, fault })
}

export function isRejection(decoded: object): decoded is PduRejection {
  return 'fault' in decoded
}
