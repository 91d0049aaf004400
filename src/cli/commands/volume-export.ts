import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { type SparseFrame, SparseReader } from '../../api/sparse-stream.ts'
import { formatSize } from '../../lib/sizes.ts'
import { systemReason } from '../../lib/system-error.ts'
import { segment } from '../api-client.ts'
import type { CommandContext } from '../context.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { Progress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'
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
    const exported = await toPlace(file, terminal, copy)
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
  terminal: Terminal,
  copy: (sink: Sink) => Promise<Exported>,
): Promise<Exported> {
  try {
    if (file === '-') return await copy(new StreamSink(data => written(terminal.stdout, data)))
    const existing = await stat(file).catch(() => null)
    if (existing === null || existing.isFile())
      return await toNewFile(file, sink => unlessStopped(terminal, () => copy(sink)))
    return await toDevice(file, copy)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof CliError || code === undefined || code.startsWith('ERR_')) throw error
    const what = file === '-' ? 'standard output' : file
    throw new CliError(ExitCode.refused, `${what} cannot be written: ${systemReason(error)}`, {
      cause: error,
    })
  }
}

/** A signal ends it like a failure, so that what there is of the file goes. */
async function unlessStopped<T>(terminal: Terminal, work: () => Promise<T>): Promise<T> {
  let ignore = () => {}
  const stopped = new Promise<never>((_resolve, reject) => {
    ignore = terminal.onStopSignal(signal =>
      reject(new CliError(ExitCode.refused, `the export was stopped by ${signal}`)),
    )
  })
  try {
    return await Promise.race([work(), stopped])
  } finally {
    ignore()
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
  try {
    const exported = await copy(new StreamSink(data => writeAll(handle, data)))
    await syncWhereThatMeansSomething(handle)
    return exported
  } finally {
    await handle.close()
  }
}

/** A block device fails here what it could not keep; pipes and terminals have nothing to sync. */
async function syncWhereThatMeansSomething(handle: FileHandle): Promise<void> {
  await handle.sync().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EINVAL') throw error
  })
}

/** At `offsetBytes`, or where the file is now. */
async function writeAll(handle: FileHandle, data: Buffer, offsetBytes: number | null = null): Promise<void> {
  for (let at = 0; at < data.length; ) {
    const to = offsetBytes === null ? null : offsetBytes + at
    at += (await handle.write(data, at, data.length - at, to)).bytesWritten
  }
}

class SparseFileSink implements Sink {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  write(offsetBytes: number, data: Buffer): Promise<void> {
    return writeAll(this.#handle, data, offsetBytes)
  }

  async finish(sizeBytes: number): Promise<void> {
    await this.#handle.truncate(sizeBytes)
  }
}

/** For pipes and devices: zeroes are written out. */
class StreamSink implements Sink {
  /** Resolves when `data` may be used again, as it is for the next frame. */
  readonly #writeNext: (data: Buffer) => Promise<void>
  #atBytes = 0

  constructor(writeNext: (data: Buffer) => Promise<void>) {
    this.#writeNext = writeNext
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
    await this.#writeNext(data)
  }
}

function written(stream: Writable, data: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, error => (error ? reject(error) : resolve()))
  })
}
