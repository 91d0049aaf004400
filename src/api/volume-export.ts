import type { BlockDevice } from '../block/block-device.ts'
import { BlockKind } from '../block/block-operation.ts'
import { problemOfError } from './problem.ts'
import { encodeFrameHead, encodeHeader, FRAME_DATA_BYTES_MAX, FrameKind } from './sparse-stream.ts'
import { EXTENTS_WINDOW_BYTES, VolumeIo } from './volume-io.ts'

const NO_DATA = Buffer.alloc(0)

/**
 * The volume as a sparse image stream: only what holds data travels. Pulled by its reader, so one frame at most is
 * in memory. A failure, once bytes are out, becomes the stream's failure frame.
 */
export async function* exportImage(device: BlockDevice): AsyncGenerator<Buffer> {
  const sizeBytes = device.sizeBytes
  yield encodeHeader(sizeBytes)
  try {
    for (let window = 0; window < sizeBytes; window += EXTENTS_WINDOW_BYTES) {
      yield* exportWindow(device, window, Math.min(EXTENTS_WINDOW_BYTES, sizeBytes - window))
    }
    yield encodeFrameHead(FrameKind.end, sizeBytes, NO_DATA)
  } catch (error) {
    const says = Buffer.from(problemOfError(error).detail, 'utf8').subarray(0, FRAME_DATA_BYTES_MAX)
    yield encodeFrameHead(FrameKind.failure, 0, says)
    yield says
  }
}

async function* exportWindow(device: BlockDevice, from: number, windowBytes: number): AsyncGenerator<Buffer> {
  const io = new VolumeIo(device)
  for (const { offsetBytes, lengthBytes, mapped } of await device.extents(from, windowBytes)) {
    if (!mapped) continue
    const end = offsetBytes + lengthBytes
    for (let at = offsetBytes; at < end; at += FRAME_DATA_BYTES_MAX) {
      // A buffer of its own: the socket holds it until it is sent.
      const data = Buffer.allocUnsafeSlow(Math.min(FRAME_DATA_BYTES_MAX, end - at))
      await io.run(BlockKind.read, at, data.length, data)
      yield encodeFrameHead(FrameKind.data, at, data)
      yield data
    }
  }
}
