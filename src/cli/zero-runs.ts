/** What counts as a hole: the block of file systems and of bricks. */
export const ZERO_BLOCK_BYTES = 4096

const ZEROES = Buffer.alloc(ZERO_BLOCK_BYTES)

/** The runs [start, end) of `data` that hold anything but zero blocks, in order. */
export function* dataRuns(data: Buffer): Generator<readonly [start: number, end: number]> {
  let start = -1
  for (let at = 0; at < data.length; at += ZERO_BLOCK_BYTES) {
    const end = Math.min(at + ZERO_BLOCK_BYTES, data.length)
    const isZero = data.compare(ZEROES, 0, end - at, at, end) === 0
    if (isZero && start >= 0) {
      yield [start, at]
      start = -1
    } else if (!isZero && start < 0) start = at
  }
  if (start >= 0) yield [start, data.length]
}
