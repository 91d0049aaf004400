import {
  FALLOC_KEEP_SIZE,
  FALLOC_PUNCH_HOLE,
  fallocate,
  fdatasync,
  pwrite,
  writeBack,
} from '../../lib/system-calls.ts'

export interface FileRange {
  readonly fd: number
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export interface FileWrite {
  readonly fd: number
  readonly bytes: Uint8Array
  readonly offsetBytes: number
}

/** What a file thread does in one go, in this order; it stops at the first failure. */
export interface FileTask {
  readonly writes?: readonly FileWrite[]
  readonly punch?: readonly FileRange[]
  readonly writeBack?: readonly FileRange[]
  /** fdatasync of each. */
  readonly sync?: readonly number[]
}

/** A thread that waits for the disk so that the event loop does not. Tasks run one after the other. */
export interface FileThread {
  /** 0, or the negative errno of the call that failed. Rejects only when the thread itself died. */
  run(task: FileTask): Promise<number>
  close(): Promise<void>
}

/** Runs a task where it is called: 0 or a negative errno. */
export function runFileTask(task: FileTask): number {
  for (const { fd, bytes, offsetBytes } of task.writes ?? []) {
    const from = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const result = pwrite(fd, from, 0, from.length, offsetBytes)
    if (result < 0) return result
  }
  for (const { fd, offsetBytes, lengthBytes } of task.punch ?? []) {
    const result = fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, offsetBytes, lengthBytes)
    if (result < 0) return result
  }
  for (const { fd, offsetBytes, lengthBytes } of task.writeBack ?? []) {
    const result = writeBack(fd, offsetBytes, lengthBytes)
    if (result < 0) return result
  }
  for (const fd of task.sync ?? []) {
    const result = fdatasync(fd)
    if (result < 0) return result
  }
  return 0
}
