import { type Command, InvalidArgumentError } from 'commander'
import { formatSize, parseSize } from '../../lib/sizes.ts'
import { parseCount } from './arguments.ts'
import type { VolumeShown } from './shown.ts'

export interface LimitFlags {
  readonly iopsLimit?: number
  readonly iopsBurst?: number
  readonly bandwidthLimit?: number
  readonly bandwidthBurst?: number
}

/** 0, like `none`, takes a limit away. */
const NONE = 0

export function addLimitOptions(command: Command): Command {
  return command
    .option('--iops-limit <count|none>', 'operations a second, of all clients together', parseCountOrNone)
    .option(
      '--iops-burst <count|none>',
      'operations that a pause saves up (those of a second)',
      parseCountOrNone,
    )
    .option('--bandwidth-limit <size|none>', 'data a second, read and written', parseSizeOrNone)
    .option('--bandwidth-burst <size|none>', 'data that a pause saves up (that of a second)', parseSizeOrNone)
}

/** What the API is asked to change; undefined when no flag was given. */
export function limitsOf(flags: LimitFlags): Partial<VolumeShown['limits']> | undefined {
  const { iopsLimit, iopsBurst, bandwidthLimit, bandwidthBurst } = flags
  const given = { iops: iopsLimit, iopsBurst, bytesPerSecond: bandwidthLimit, burstBytes: bandwidthBurst }
  const limits = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return Object.keys(limits).length === 0 ? undefined : limits
}

export function limitText({ iops, iopsBurst, bytesPerSecond, burstBytes }: VolumeShown['limits']): string[] {
  const lines: string[] = []
  if (iops !== null) lines.push(`${iops} operations/s, burst ${iopsBurst ?? iops}`)
  if (bytesPerSecond !== null) {
    lines.push(`${formatSize(bytesPerSecond)}/s, burst ${formatSize(burstBytes ?? bytesPerSecond)}`)
  }
  return lines.length === 0 ? ['none'] : lines
}

function parseCountOrNone(text: string): number {
  return text === 'none' ? NONE : parseCount(text)
}

function parseSizeOrNone(text: string): number {
  try {
    return text === 'none' ? NONE : parseSize(text)
  } catch {
    throw new InvalidArgumentError('Write it like 100MiB or 1GiB (a second), or none.')
  }
}
