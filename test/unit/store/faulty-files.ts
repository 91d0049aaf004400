import path from 'node:path'
import { type FileTask, runFileTask } from '../../../src/store/files/file-task.ts'
import { realFiles, type StoreFiles } from '../../../src/store/files/store-files.ts'

export interface FileCall {
  readonly name: 'pread' | 'preadNow' | 'read' | 'pwrite' | 'fallocate' | 'extend' | 'fdatasync' | 'writeBack'
  /** Name of the file in the brick's directory. */
  readonly file: string
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** The real files, with a say for the test before each call: a negative errno makes it fail. */
export class FaultyFiles implements StoreFiles {
  readonly calls: FileCall[] = []
  before: (call: FileCall) => number = () => 0
  /** Awaited before a thread begins a task. */
  beforeTask: (task: FileTask) => Promise<void> | void = () => undefined
  readonly #names = new Map<number, string>()

  #say(name: FileCall['name'], fd: number, offsetBytes = 0, lengthBytes = 0): number {
    const call = { name, file: this.#names.get(fd) ?? '?', offsetBytes, lengthBytes }
    this.calls.push(call)
    return this.before(call)
  }

  open(filePath: string, create: boolean): number {
    const fd = realFiles.open(filePath, create)
    this.#names.set(fd, path.basename(filePath))
    return fd
  }
  close(fd: number): void {
    realFiles.close(fd)
  }
  sizeBytes(fd: number): number {
    return realFiles.sizeBytes(fd)
  }
  preadNow(fd: number, into: Buffer, at: number, lengthBytes: number, offsetBytes: number): number {
    const said = this.#say('preadNow', fd, offsetBytes, lengthBytes)
    return said < 0 ? said : realFiles.preadNow(fd, into, at, lengthBytes, offsetBytes)
  }
  pread(fd: number, into: Buffer, at: number, lengthBytes: number, offsetBytes: number): number {
    const said = this.#say('pread', fd, offsetBytes, lengthBytes)
    return said < 0 ? said : realFiles.pread(fd, into, at, lengthBytes, offsetBytes)
  }
  pwrite(fd: number, from: Buffer, at: number, lengthBytes: number, offsetBytes: number): number {
    const said = this.#say('pwrite', fd, offsetBytes, lengthBytes)
    return said < 0 ? said : realFiles.pwrite(fd, from, at, lengthBytes, offsetBytes)
  }
  isCached(fd: number, offsetBytes: number, lengthBytes: number): boolean {
    return realFiles.isCached(fd, offsetBytes, lengthBytes)
  }
  fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): number {
    const said = this.#say('fallocate', fd, offsetBytes, lengthBytes)
    return said < 0 ? said : realFiles.fallocate(fd, mode, offsetBytes, lengthBytes)
  }
  extend(fd: number, sizeBytes: number): number {
    const said = this.#say('extend', fd, 0, sizeBytes)
    return said < 0 ? said : realFiles.extend(fd, sizeBytes)
  }
  fdatasync(fd: number): number {
    const said = this.#say('fdatasync', fd)
    return said < 0 ? said : realFiles.fdatasync(fd)
  }
  read(
    fd: number,
    into: Buffer,
    at: number,
    lengthBytes: number,
    offsetBytes: number,
    done: (result: number) => void,
  ): void {
    const said = this.#say('read', fd, offsetBytes, lengthBytes)
    if (said < 0) setImmediate(done, said)
    else realFiles.read(fd, into, at, lengthBytes, offsetBytes, done)
  }

  /** Tasks run one after the other in this thread, later, each call announced first. */
  startThread() {
    let last: Promise<unknown> = Promise.resolve()
    return {
      run: (task: FileTask): Promise<number> => {
        const result = last.then(() => this.#run(task))
        last = result.catch(() => undefined)
        return result
      },
      close: async () => undefined,
    }
  }

  async #run(task: FileTask): Promise<number> {
    await new Promise(setImmediate)
    await this.beforeTask(task)
    for (const { fd, offsetBytes, bytes } of task.writes ?? []) {
      const said = this.#say('pwrite', fd, offsetBytes, bytes.length)
      if (said < 0) return said
    }
    for (const { fd, offsetBytes, lengthBytes } of task.punch ?? []) {
      const said = this.#say('fallocate', fd, offsetBytes, lengthBytes)
      if (said < 0) return said
    }
    for (const { fd, offsetBytes, lengthBytes } of task.writeBack ?? []) {
      const said = this.#say('writeBack', fd, offsetBytes, lengthBytes)
      if (said < 0) return said
    }
    for (const fd of task.sync ?? []) {
      const said = this.#say('fdatasync', fd)
      if (said < 0) return said
    }
    return runFileTask(task)
  }
}
