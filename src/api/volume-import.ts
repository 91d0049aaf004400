import type { BlockDevice } from '../block/block-device.ts'
import { BlockKind } from '../block/block-operation.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { formatSize } from '../lib/sizes.ts'
import type { SparseReader } from './sparse-stream.ts'
import { EXTENTS_WINDOW_BYTES, VolumeIo } from './volume-io.ts'

/** One trim; bounds how long its blocks stay locked. */
const TRIM_BYTES_MAX = 64 * 2 ** 20

export interface Imported {
  readonly imageBytes: number
  readonly dataBytes: number
}

/**
 * Makes the volume hold the image and zeroes behind it, durably. Frames must be multiples of the volume's block
 * size. Nothing is read ahead, so a slow brick slows the sender. Throws HoldfastErrors; the volume is then part
 * old, part new.
 */
export async function importImage(device: BlockDevice, reader: SparseReader): Promise<Imported> {
  const io = new VolumeIo(device)
  const imageBytes = await reader.readSize()
  if (imageBytes > device.sizeBytes) {
    const sizes = `${formatSize(imageBytes)}, the volume ${formatSize(device.sizeBytes)}`
    throw new HoldfastError('ERR_IMAGE_TOO_LARGE', `the image has ${sizes}: resize the volume first`)
  }
  let cursor = 0
  let dataBytes = 0
  for await (const { offsetBytes, data } of reader.frames(imageBytes)) {
    if (offsetBytes % device.blockSizeBytes !== 0 || data.length % device.blockSizeBytes !== 0) {
      throw new HoldfastError(
        'ERR_IMAGE_INVALID',
        `a frame is not a multiple of ${device.blockSizeBytes} bytes`,
      )
    }
    await makeZero(io, cursor, offsetBytes)
    if (data.length > 0) await io.run(BlockKind.write, offsetBytes, data.length, data)
    cursor = offsetBytes + data.length
    dataBytes += data.length
  }
  await makeZero(io, cursor, device.sizeBytes)
  await io.run(BlockKind.flush)
  return { imageBytes, dataBytes }
}

/** Trims what holds data in [from, to). */
async function makeZero(io: VolumeIo, from: number, to: number): Promise<void> {
  for (let window = from; window < to; window += EXTENTS_WINDOW_BYTES) {
    const extents = await io.device.extents(window, Math.min(EXTENTS_WINDOW_BYTES, to - window))
    for (const { offsetBytes, lengthBytes, mapped } of extents) {
      if (!mapped) continue
      const end = offsetBytes + lengthBytes
      for (let at = offsetBytes; at < end; at += TRIM_BYTES_MAX) {
        await io.run(BlockKind.trim, at, Math.min(TRIM_BYTES_MAX, end - at))
      }
    }
  }
}
