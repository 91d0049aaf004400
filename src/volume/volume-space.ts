/** What thin provisioning has for a volume: bytes, as they are now. */
export interface VolumeSpace {
  /** Taken by this volume. */
  readonly usedBytes: number
  /** Left for this volume and all others, where the least is left. */
  readonly availableBytes: number
  /** With less than this left, whoever uses the volume should know. */
  readonly scarceBelowBytes: number
}

/** Of a volume that nobody accounts for. */
export const AMPLE_SPACE: VolumeSpace = {
  usedBytes: 0,
  availableBytes: Number.MAX_SAFE_INTEGER,
  scarceBelowBytes: 0,
}
