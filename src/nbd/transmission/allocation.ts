import type { BlockDevice, BlockExtent } from '../../block/block-device.ts'
import {
  PREFERRED_BLOCK_BYTES,
  STATUS_DESCRIPTORS_MAX,
  STATUS_WINDOW_BYTES,
  STATUS_WINDOWS_MAX,
} from '../limits.ts'

/**
 * The allocated runs and holes from `offsetBytes` on, for BLOCK_STATUS: without gaps, adjacent alike runs merged,
 * at least one, and no longer together than asked; less when that takes too many descriptors or looks. Rejects
 * when the device cannot tell.
 */
export async function allocationOf(
  device: BlockDevice,
  offsetBytes: number,
  lengthBytes: number,
  onlyOne: boolean,
): Promise<BlockExtent[]> {
  const end = offsetBytes + lengthBytes
  const found: BlockExtent[] = []
  const descriptorsMax = onlyOne ? 1 : STATUS_DESCRIPTORS_MAX
  let at = offsetBytes
  for (let looks = 0; at < end && looks < STATUS_WINDOWS_MAX; looks++) {
    // The device tells runs of whole blocks; what a request asks may begin and end inside of one.
    const from = at - (at % PREFERRED_BLOCK_BYTES)
    const to = Math.min(end, from + STATUS_WINDOW_BYTES)
    const wholeBytes = Math.ceil((to - from) / PREFERRED_BLOCK_BYTES) * PREFERRED_BLOCK_BYTES
    // The last one of a volume may be cut short by its end.
    for (const run of await device.extents(from, Math.min(wholeBytes, device.sizeBytes - from))) {
      const runFrom = Math.max(run.offsetBytes, at)
      const runTo = Math.min(run.offsetBytes + run.lengthBytes, to)
      if (runTo <= runFrom) continue
      const last = found.at(-1)
      if (last?.mapped === run.mapped) {
        found[found.length - 1] = { ...last, lengthBytes: last.lengthBytes + runTo - runFrom }
      } else if (found.length < descriptorsMax) {
        found.push({ offsetBytes: runFrom, lengthBytes: runTo - runFrom, mapped: run.mapped })
      } else {
        return found
      }
    }
    at = to
  }
  return found
}
