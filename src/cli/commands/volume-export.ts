import { once } from 'node:events'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { type SparseFrame, SparseReader } from '../../api/sparse-stream.ts'
import { formatSize } from '../../lib/sizes.ts'
import { systemReason } from '../../lib/system-error.ts'
import { segment } from '../api-client.ts'
import type { CommandContext } from '../context.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { Progress } from '../progress.ts'
import { dataRuns } from '../zero-runs.ts'

const ZEROES = Buffer.alloc(2 ** 20)

/** Takes data in ascending order; what it never gets is zeroes. */
interface Sink {
  write(offsetBytes: number, data: Buffer): Promise<void>
  finish(sizeBytes: number): Promise<void>
}

/** `holdfast volume export`: a regular file becomes sparse and appears under its name when it is whole. */
export async function exportVolume(context: CommandContext, name: string, file: string): Promise<void> {
  const { client, terminal } = context
  const chunks = await client.download(`volumes/${segment(name)}/export`)
  const reader = new SparseReader(chunks)
  const progress = new Progress(terminal.stderr, `exporting ${name}`)
  const copy = async (sink: Sink): Promise<Exported> => {
    const sizeBytes = await reader.readSize()
    const dataBytes = await copyFrames(reader.frames(sizeBytes), sink, at => progress.show(at, sizeBytes))
    await sink.finish(sizeBytes)
    return { sizeBytes, dataBytes }
  }
  try {
    const exported = await toPlace(file, terminal.stdout, copy)
    progress.end()
    // The image itself is on standard output then.
    if (file === '-') return
    const { sizeBytes, dataBytes } = exported
    context.print(
      exported,
      () => `exported ${formatSize(dataBytes)} of data, a disk of ${formatSize(sizeBytes)}\n`,
    )
  } finally {
    progress.end()
  }
}

interface Exported {
  readonly sizeBytes: number
  readonly dataBytes: number
}

async function copyFrames(
  frames: AsyncIterable<SparseFrame>,
  sink: Sink,
  progressed: (atBytes: number) => void,
): Promise<number> {
  let dataBytes = 0
  for await (const { offsetBytes, data } of frames) {
    for (const [start, end] of dataRuns(data)) {
      await sink.write(offsetBytes + start, data.subarray(start, end))
      dataBytes += end - start
    }
    progressed(offsetBytes + data.length)
  }
  return dataBytes
}

async function toPlace(
  file: string,
  stdout: Writable,
  copy: (sink: Sink) => Promise<Exported>,
): Promise<Exported> {
  if (file === '-') return copy(new StreamSink(stdout))
  try {
    const existing = await stat(file).catch(() => null)
    if (existing === null || existing.isFile()) return await toNewFile(file, copy)
    return await toDevice(file, copy)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof CliError || code === undefined || code.startsWith('ERR_')) throw error
    throw new CliError(ExitCode.refused, `${file} cannot be written: ${systemReason(error)}`, {
      cause: error,
    })
  }
}

async function toNewFile(file: string, copy: (sink: Sink) => Promise<Exported>): Promise<Exported> {
  const partial = `${file}.part`
  try {
    const handle = await open(partial, 'w')
    try {
      const exported = await copy(new SparseFileSink(handle))
      await handle.sync()
      await rename(partial, file)
      return exported
    } finally {
      await handle.close()
    }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function toDevice(file: string, copy: (sink: Sink) => Promise<Exported>): Promise<Exported> {
  const handle = await open(file, 'r+')
  const stream = handle.createWriteStream()
  const exported = await copy(new StreamSink(stream))
  stream.end()
  await once(stream, 'close')
  return exported
}

class SparseFileSink implements Sink {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(offsetBytes: number, data: Buffer): Promise<void> {
    for (let at = 0; at < data.length; ) {
      const { bytesWritten } = await this.#handle.write(data, at, data.length - at, offsetBytes + at)
      at += bytesWritten
    }
  }

  async finish(sizeBytes: number): Promise<void> {
    await this.#handle.truncate(sizeBytes)
  }
}

/** For pipes and devices: zeroes are written out. */
class StreamSink implements Sink {
  readonly #stream: Writable
  #atBytes = 0

  constructor(stream: Writable) {
    this.#stream = stream
  }

  async write(offsetBytes: number, data: Buffer): Promise<void> {
    await this.#zeroUpTo(offsetBytes)
    await this.#push(data)
  }

  async finish(sizeBytes: number): Promise<void> {
    await this.#zeroUpTo(sizeBytes)
  }

  async #zeroUpTo(offsetBytes: number): Promise<void> {
    while (this.#atBytes < offsetBytes) {
      await this.#push(ZEROES.subarray(0, Math.min(ZEROES.length, offsetBytes - this.#atBytes)))
    }
  }

  async #push(data: Buffer): Promise<void> {
    this.#atBytes += data.length
    // Until it is written: `data` is used again for the next frame.
    await new Promise<void>((resolve, reject) =>
      this.#stream.write(data, error => (error ? reject(error) : resolve())),
    )
  }
}
