import { Errno, FALLOC_KEEP_SIZE } from '../lib/system-calls.ts'
import type { BrickParts } from './brick-parts.ts'
import { BLOCK_BYTES, bankOf, indexOf, SEGMENT_BYTES, slotDataAt } from './layout.ts'

const NO_FALLOCATE: readonly number[] = [-Errno.EOPNOTSUPP, -Errno.ENOSYS]
const ZEROES = Buffer.alloc(SEGMENT_BYTES)

/**
 * Makes the bytes of blocks [first, end) of one segment zeroes, by FALLOC_PUNCH_HOLE or FALLOC_ZERO_RANGE where the
 * file system can. 0 or a negative errno.
 */
export function eraseBlocks(
  parts: BrickParts,
  slot: number,
  first: number,
  end: number,
  mode: number,
): number {
  const { banks, files } = parts
  const bank = banks[bankOf(slot)]!
  const at = slotDataAt(indexOf(slot)) + first * BLOCK_BYTES
  const bytes = (end - first) * BLOCK_BYTES
  bank.dataTouched = true
  let result = files.fallocate(bank.dataFd, mode | FALLOC_KEEP_SIZE, at, bytes)
  if (NO_FALLOCATE.includes(result)) result = files.pwrite(bank.dataFd, ZEROES, 0, bytes, at)
  return Math.min(result, 0)
}
