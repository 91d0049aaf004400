/** RFC 7143 §11.2.1.2. */
export const Opcode = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagementRequest: 0x02,
  loginRequest: 0x03,
  textRequest: 0x04,
  dataOut: 0x05,
  logoutRequest: 0x06,
  snackRequest: 0x10,
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagementResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  r2t: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

/** The low six bits of byte 0; the I bit is the one above, the top bit is reserved. RFC 7143 §11.2.1. */
export const OPCODE_MASK = 0x3f
export const IMMEDIATE_BIT = 0x40

/** "No tag": not a ping to answer, not solicited, not a continuation. RFC 7143 §11.18, §11.7.4, §11.10.4. */
export const RESERVED_TAG = 0xffffffff
