import { BLOCK_BYTES } from '../../store/layout.ts'
import { contentOf } from '../../store/replica/entry-content.ts'

/** A run of blocks to be brought over. Offsets count from the start of the region. */
export interface DifferingRun {
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** The source has nothing there: the run is trimmed. */
  readonly absent: boolean
}

/** Where a region of the joiner differs from the source's, by the checksum entries of both. */
export function differingRuns(source: Uint32Array, joiner: Uint32Array): DifferingRun[] {
  const runs: { offsetBytes: number; lengthBytes: number; absent: boolean }[] = []
  for (let block = 0; block < source.length; block++) {
    const wanted = contentOf(source[block]!)
    if (wanted === contentOf(joiner[block]!)) continue
    const absent = wanted === 0
    const last = runs.at(-1)
    if (last?.absent === absent && last.offsetBytes + last.lengthBytes === block * BLOCK_BYTES) {
      last.lengthBytes += BLOCK_BYTES
    } else {
      runs.push({ offsetBytes: block * BLOCK_BYTES, lengthBytes: BLOCK_BYTES, absent })
    }
  }
  return runs
}
