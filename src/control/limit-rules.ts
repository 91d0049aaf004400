import { HoldfastError } from '../errors/holdfast-error.ts'
import { formatSize } from '../lib/sizes.ts'
import type { VolumeLimits } from '../volume/throttle/volume-limits.ts'
import type { LimitsChange } from './control.ts'

/** More than any volume can do: whoever writes it means something else. */
const IOPS_MAX = 1e9
/** With less, one command of 1 MiB would keep the next waiting for as long as initiators wait for an answer. */
const BYTES_PER_SECOND_MIN = 64 * 1024
const BYTES_MAX = 2 ** 50

function refuse(why: string): never {
  throw new HoldfastError('ERR_ARGUMENT_INVALID', why)
}

function checkRange(
  value: number | null,
  min: number,
  max: number,
  what: string,
  show: (n: number) => string,
) {
  if (value === null || (Number.isSafeInteger(value) && value >= min && value <= max)) return
  refuse(`${what} is at least ${show(min)} and at most ${show(max)}, or none`)
}

/** A limit and its burst after a change: null and 0 take the limit away, and its burst with it. */
function pair(
  [limit, burst]: readonly [number | null, number | null],
  [newLimit, newBurst]: readonly [number | null | undefined, number | null | undefined],
  what: string,
): [number | null, number | null] {
  const chosen = (newLimit === undefined ? limit : newLimit) || null
  if (chosen === null && newBurst) refuse(`a burst of ${what} needs a limit of ${what}`)
  return [chosen, chosen === null ? null : (newBurst === undefined ? burst : newBurst) || null]
}

/** The limits of a volume after a change. Throws ERR_ARGUMENT_INVALID naming what is wrong. */
export function changedLimits(before: VolumeLimits, change: LimitsChange): VolumeLimits {
  const [iops, iopsBurst] = pair(
    [before.iops, before.iopsBurst],
    [change.iops, change.iopsBurst],
    'operations',
  )
  const [bytesPerSecond, burstBytes] = pair(
    [before.bytesPerSecond, before.burstBytes],
    [change.bytesPerSecond, change.burstBytes],
    'bandwidth',
  )
  checkRange(iops, 1, IOPS_MAX, 'an IOPS limit', String)
  checkRange(iopsBurst, 1, IOPS_MAX, 'an IOPS burst', String)
  checkRange(bytesPerSecond, BYTES_PER_SECOND_MIN, BYTES_MAX, 'a bandwidth limit', formatSize)
  checkRange(burstBytes, 1, BYTES_MAX, 'a bandwidth burst', formatSize)
  return { iops, iopsBurst, bytesPerSecond, burstBytes }
}

export function areNone({ iops, bytesPerSecond }: VolumeLimits): boolean {
  return iops === null && bytesPerSecond === null
}

/** `at most 500 operations/s (burst 1000) and 100MiB/s`, or `without limits`. */
export function formatLimits({ iops, iopsBurst, bytesPerSecond, burstBytes }: VolumeLimits): string {
  const parts = [
    iops === null ? '' : `${iops} operations/s${iopsBurst === null ? '' : ` (burst ${iopsBurst})`}`,
    bytesPerSecond === null
      ? ''
      : `${formatSize(bytesPerSecond)}/s${burstBytes === null ? '' : ` (burst ${formatSize(burstBytes)})`}`,
  ].filter(part => part !== '')
  return parts.length === 0 ? 'without limits' : `at most ${parts.join(' and ')}`
}
