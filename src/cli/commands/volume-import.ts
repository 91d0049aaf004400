import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import {
  encodeFrameHead,
  encodeHeader,
  FRAME_DATA_BYTES_MAX,
  FrameKind,
  SPARSE_STREAM_TYPE,
} from '../../api/sparse-stream.ts'
import { formatSize } from '../../lib/sizes.ts'
import { systemReason } from '../../lib/system-error.ts'
import { segment } from '../api-client.ts'
import type { CommandContext } from '../context.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { FORMAT_PROBE_BYTES, imageFormat } from '../image-format.ts'
import { Progress } from '../progress.ts'
import { dataRuns } from '../zero-runs.ts'
import type { VolumeShown } from './shown.ts'

interface Imported {
  readonly imageBytes: number
  readonly dataBytes: number
}

/** Sizes of volumes made for an image are multiples of this. */
const NEW_VOLUME_BLOCK_BYTES = 4096
const NO_DATA = Buffer.alloc(0)

/** `holdfast volume import`: only what is not zeroes travels. */
export async function importVolume(
  context: CommandContext,
  file: string,
  name: string,
  force: boolean,
): Promise<void> {
  const { client, terminal } = context
  const fileBytes = file === '-' ? null : await regularFileSize(file)
  const volume = await volumeFor(context, name, fileBytes)
  const imageBytes = fileBytes ?? volume.sizeBytes
  if (imageBytes > volume.sizeBytes) {
    const sizes = `${formatSize(imageBytes)}, the volume ${formatSize(volume.sizeBytes)}`
    throw new CliError(ExitCode.refused, `the image has ${sizes}: resize the volume first`)
  }
  const source =
    file === '-' ? terminal.stdin : createReadStream(file, { highWaterMark: FRAME_DATA_BYTES_MAX })
  const progress = new Progress(terminal.stderr, `importing ${name}`)
  const stream = sparseStream(source, file, volume, imageBytes, doneBytes =>
    progress.show(doneBytes, fileBytes ?? 0),
  )
  try {
    const path = `volumes/${segment(name)}/import`
    const imported = await client.upload<Imported>(path, { force }, SPARSE_STREAM_TYPE, stream)
    progress.end()
    context.print(
      imported,
      () => `imported ${formatSize(imported.dataBytes)} of data into volume '${name}'\n`,
    )
  } finally {
    progress.end()
  }
}

/** The volume to fill; one that is missing is made when the size of the image is known. */
async function volumeFor(
  context: CommandContext,
  name: string,
  fileBytes: number | null,
): Promise<VolumeShown> {
  const volumes = await context.client.get<VolumeShown[]>('volumes')
  const found = volumes.find(volume => volume.name === name)
  if (found !== undefined) return found
  if (fileBytes === null) {
    const message = `there is no volume '${name}', and the size of standard input is not known: create it first`
    throw new CliError(ExitCode.refused, message)
  }
  const blocks = Math.max(1, Math.ceil(fileBytes / NEW_VOLUME_BLOCK_BYTES))
  return context.client.post<VolumeShown>('volumes', { name, sizeBytes: blocks * NEW_VOLUME_BLOCK_BYTES })
}

async function* sparseStream(
  source: Readable,
  file: string,
  volume: VolumeShown,
  imageBytes: number,
  progressed: (doneBytes: number) => void,
): AsyncGenerator<Buffer> {
  const { blockSizeBytes } = volume
  const paddedBytes = Math.ceil(imageBytes / blockSizeBytes) * blockSizeBytes
  yield encodeHeader(paddedBytes)
  let offsetBytes = 0
  for await (const piece of wholePieces(source)) {
    if (offsetBytes === 0) refuseForeign(piece, file)
    if (offsetBytes + piece.length > paddedBytes) {
      throw new CliError(
        ExitCode.refused,
        `the image is larger than the volume's ${formatSize(volume.sizeBytes)}`,
      )
    }
    const data = padded(piece, blockSizeBytes)
    for (const [start, end] of dataRuns(data)) {
      const run = data.subarray(start, end)
      yield encodeFrameHead(FrameKind.data, offsetBytes + start, run)
      yield run
    }
    offsetBytes += piece.length
    progressed(offsetBytes)
  }
  yield encodeFrameHead(FrameKind.end, paddedBytes, NO_DATA)
}

/** The source in pieces of FRAME_DATA_BYTES_MAX; only the last may be shorter. */
async function* wholePieces(source: Readable): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafeSlow(FRAME_DATA_BYTES_MAX)
  let filled = 0
  for await (const chunk of source as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(piece, filled, at)
      filled += copied
      at += copied
      if (filled < piece.length) continue
      yield piece
      // The one before may still wait in the socket.
      piece = Buffer.allocUnsafeSlow(FRAME_DATA_BYTES_MAX)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}

function padded(piece: Buffer, blockSizeBytes: number): Buffer {
  const missing = (blockSizeBytes - (piece.length % blockSizeBytes)) % blockSizeBytes
  return missing === 0 ? piece : Buffer.concat([piece, Buffer.alloc(missing)])
}

function refuseForeign(start: Buffer, file: string): void {
  const format = imageFormat(start)
  if (format === 'raw') return
  const what = file === '-' ? 'standard input' : file
  const how = file === '-' ? `qemu-img convert -O raw IN OUT` : `qemu-img convert -O raw ${file} ${file}.raw`
  throw new CliError(
    ExitCode.refused,
    `${what} is a ${format} image and only raw ones are taken: convert it with '${how}'`,
  )
}

/** Size of a regular file in bytes, after a look at its format; null for pipes and devices. */
async function regularFileSize(file: string): Promise<number | null> {
  try {
    const handle = await open(file, 'r')
    try {
      const stat = await handle.stat()
      if (stat.isDirectory()) throw new CliError(ExitCode.refused, `${file} is a directory`)
      if (!stat.isFile()) return null
      const start = Buffer.alloc(FORMAT_PROBE_BYTES)
      await handle.read(start, 0, start.length, 0)
      refuseForeign(start, file)
      return stat.size
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(ExitCode.refused, `${file} cannot be read: ${systemReason(error)}`)
  }
}
