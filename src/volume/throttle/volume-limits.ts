/** What the clients of a volume may ask of it, all together. */
export interface VolumeLimits {
  /** Operations a second; null: no limit. */
  readonly iops: number | null
  /** Operations that a pause saves up; null: those of one second. */
  readonly iopsBurst: number | null
  /** Data read and written a second; null: no limit. */
  readonly bytesPerSecond: number | null
  /** Bytes that a pause saves up; null: those of one second. */
  readonly burstBytes: number | null
}

export const NO_LIMITS: VolumeLimits = { iops: null, iopsBurst: null, bytesPerSecond: null, burstBytes: null }
