/** Bounds of the iSCSI target, by name. All of them can be set by configuration; these are the defaults. */
export interface IscsiLimits {
  /** Connections of all portals together, logins included. One more is closed at once. */
  readonly connectionsMax: number
  /** Sessions of all portals together, discovery included. One more login is answered 0302 (out of resources). */
  readonly sessionsMax: number
  /** From accept to full feature phase. */
  readonly loginTimeoutMs: number
  /** Silence after which an initiator is asked whether it is there (NOP-In). 0 never asks. */
  readonly pingIdleMs: number
  /** Further silence after a ping, or output not taken, after which the session is dead. */
  readonly pingTimeoutMs: number
  /** Between asking initiators to log out (at stop) and closing their connections. */
  readonly stopGraceMs: number
  /** Commands of one session at a time, immediate ones not counted: the width of its CmdSN window. */
  readonly commandsPerSessionMax: number
  /** Replies that the initiator has not taken, per session; above it nothing more is read from its socket. */
  readonly outputBytesPerSessionMax: number
  /** Data-out of one session in pooled buffers; above it R2Ts wait. */
  readonly dataOutBytesPerSessionMax: number
}

export const COMMANDS_PER_SESSION_MAX = 128
/** RFC 7143 §4.2.2.1 lets an initiator send these outside the window; more than these are rejected. */
export const IMMEDIATE_COMMANDS_MAX = 16
/** Task management functions of one session that have not taken effect yet. */
export const TASK_MANAGEMENT_FUNCTIONS_MAX = 16
/** Data-out of a single command: also the largest buffer of the pool. */
export const COMMAND_DATA_OUT_BYTES_MAX = 16 * 1024 * 1024
/** Commands that came before their turn (a hole in CmdSN), copied aside until the hole is filled. */
export const HELD_COMMAND_BYTES_MAX = 1024 * 1024
/** For the last output of a connection that is being closed. */
export const CLOSE_GRACE_MS = 5_000
/** How often time limits are looked at. */
export const TICK_MS = 500

/** One for all connections: whatever lies in a socket is read here and handled before the next read. */
export const RECEIVE_BUFFER_BYTES = 256 * 1024
/** From here on the missing rest of a payload is received straight into its final buffer. */
export const DIRECT_RECEIVE_BYTES_MIN = 64 * 1024
/** Replies of one pass are gathered in one of these. */
export const TRANSMIT_SLAB_BYTES = 256 * 1024
/** A text response in one PDU: longer answers (SendTargets) go in pieces, whatever the initiator could take. */
export const TEXT_SEGMENT_BYTES_MAX = 64 * 1024
/** Slabs kept when no output needs them: one circulates as long as sockets take what they are given. */
export const SLABS_KEPT_MAX = 16
/** Freed buffers kept for the next use, all sizes together. */
export const POOL_RETAINED_BYTES_MAX = 32 * 1024 * 1024

/** RFC 7143 §13.12: what holds before and during login. */
export const LOGIN_DATA_SEGMENT_BYTES_MAX = 8192

export const defaultLimits: IscsiLimits = {
  connectionsMax: 1024,
  sessionsMax: 512,
  loginTimeoutMs: 15_000,
  pingIdleMs: 15_000,
  pingTimeoutMs: 15_000,
  stopGraceMs: 5_000,
  commandsPerSessionMax: COMMANDS_PER_SESSION_MAX,
  outputBytesPerSessionMax: 4 * 1024 * 1024,
  dataOutBytesPerSessionMax: 32 * 1024 * 1024,
}
