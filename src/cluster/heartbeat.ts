/** The lease of this process, kept alive where a busy main loop cannot starve it. */
export interface Heartbeat extends AsyncDisposable {
  /** Null before the first one and after one was lost. */
  readonly lease: bigint | null
  onChange(listener: (lease: bigint | null) => void): void
}

/** With etcd's election timeout of 1 s, less would expire in an election. */
export const LEASE_TTL_SECONDS = 5

export interface HeartbeatLog {
  warn(fields: object, message: string): void
}
