import { dirname } from 'node:path'
import { FileModel, type Survival } from './file-model.ts'
import { type RecordEntry, RecordKind } from './record-log.ts'

// fallocate(2) modes.
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 16
const SYNCHRONOUS = 1

interface NameChange {
  readonly index: number
  readonly name: string
  /** Null takes the name away. */
  readonly node: FileModel | DirectoryModel | null
}

/** Names as the disk has them for certain, and the changes since; a journalling file system keeps their order. */
class DirectoryModel {
  #durable = new Map<string, FileModel | DirectoryModel>()
  #pending: NameChange[][] = []

  /** Changes that the file system makes at once, as a rename does. */
  change(changes: readonly NameChange[]): void {
    this.#pending.push([...changes])
  }

  sync(index: number): void {
    while (this.#pending.length > 0 && this.#pending[0]![0]!.index < index) {
      apply(this.#durable, this.#pending.shift()!)
    }
  }

  crash(survival: Survival): Map<string, FileModel | DirectoryModel> {
    const names = new Map(this.#durable)
    for (const changes of this.#pending.slice(0, survival.survivors(this.#pending.length))) {
      apply(names, changes)
    }
    return names
  }
}

function apply(names: Map<string, FileModel | DirectoryModel>, changes: readonly NameChange[]): void {
  for (const { name, node } of changes) {
    if (node === null) names.delete(name)
    else names.set(name, node)
  }
}

export interface CrashedFile {
  readonly path: string
  readonly sizeBytes: number
  readonly pages: ReadonlyMap<number, Buffer>
}

export interface CrashedDisk {
  readonly directories: readonly string[]
  readonly files: readonly CrashedFile[]
}

export interface DiskOptions {
  /** Syncs of files whose path this matches are ignored, as by a store that forgot them. */
  readonly ignoresSyncOf?: (path: string) => boolean
}

/** The disk below one directory that was there, and empty, at the start, driven by the record, and what it may look like after a crash. */
export class DiskModel {
  #root: string
  #options: DiskOptions
  #directories = new Map<string, DirectoryModel>()
  #byInode = new Map<number, FileModel | DirectoryModel>()
  #byPath = new Map<string, FileModel | DirectoryModel>()
  #paths = new Map<number, string>()
  #inodes = new Map<string, number>()
  #syncBegan = new Map<string, number>()
  #index = 0

  constructor(root: string, options: DiskOptions = {}) {
    this.#root = root
    this.#options = options
    this.#directories.set(root, new DirectoryModel())
  }

  /** Takes the next entry of the record. */
  step(entry: RecordEntry): void {
    const index = this.#index++
    switch (entry.kind) {
      case RecordKind.create:
        return this.#enter(index, entry, new FileModel())
      case RecordKind.mkdir: {
        const directory = new DirectoryModel()
        this.#directories.set(entry.payload.toString(), directory)
        return this.#enter(index, entry, directory)
      }
      case RecordKind.write: {
        const file = this.#file(entry)
        file?.write(index, entry.offset, entry.payload)
        if ((entry.flags & SYNCHRONOUS) !== 0) this.#sync(entry, index + 1)
        return
      }
      case RecordKind.truncate:
        return this.#file(entry)?.truncate(index, entry.length)
      case RecordKind.fallocate: {
        const file = this.#file(entry)
        if ((entry.flags & (PUNCH_HOLE | ZERO_RANGE)) !== 0) file?.zero(index, entry.offset, entry.length)
        if ((entry.flags & KEEP_SIZE) === 0) file?.extend(index, entry.offset + entry.length)
        return
      }
      case RecordKind.syncBegin:
        this.#syncBegan.set(`${entry.thread}:${entry.inode}`, index)
        return
      case RecordKind.syncEnd: {
        const began = this.#syncBegan.get(`${entry.thread}:${entry.inode}`)
        if (began !== undefined) this.#sync(entry, began)
        return
      }
      case RecordKind.rename: {
        const [from, to] = entry.payload.toString().split('\0') as [string, string]
        return this.#rename(index, from, to)
      }
      case RecordKind.unlink:
        return this.#unlink(index, entry.payload.toString())
    }
  }

  crash(survival: Survival): CrashedDisk {
    const directories: string[] = []
    const files: CrashedFile[] = []
    const walk = (path: string, directory: DirectoryModel): void => {
      for (const [name, node] of directory.crash(survival)) {
        const below = path === '' ? name : `${path}/${name}`
        if (node instanceof FileModel) files.push({ path: below, ...node.crash(survival) })
        else {
          directories.push(below)
          walk(below, node)
        }
      }
    }
    walk('', this.#directories.get(this.#root)!)
    return { directories, files }
  }

  #enter(index: number, entry: RecordEntry, node: FileModel | DirectoryModel): void {
    const path = entry.payload.toString()
    if (!path.startsWith(`${this.#root}/`)) return
    this.#byInode.set(entry.inode, node)
    this.#byPath.set(path, node)
    this.#paths.set(entry.inode, path)
    this.#inodes.set(path, entry.inode)
    this.#directoryOf(path).change([{ index, name: nameOf(path), node }])
  }

  #rename(index: number, from: string, to: string): void {
    const node = this.#byPath.get(from)
    if (node === undefined) return
    const changes: NameChange[] = [
      { index, name: nameOf(from), node: null },
      { index, name: nameOf(to), node },
    ]
    this.#directoryOf(from).change(changes)
    const inode = this.#inodes.get(from)!
    this.#byPath.delete(from)
    this.#byPath.set(to, node)
    this.#paths.set(inode, to)
    this.#inodes.set(to, inode)
  }

  #unlink(index: number, path: string): void {
    this.#byPath.delete(path)
    this.#directoryOf(path).change([{ index, name: nameOf(path), node: null }])
  }

  #sync(entry: RecordEntry, index: number): void {
    const isDirectory = entry.kind === RecordKind.syncEnd && entry.payload.length > 0
    const path = isDirectory ? entry.payload.toString() : this.#paths.get(entry.inode)
    if (path === undefined || this.#options.ignoresSyncOf?.(path)) return
    const node = isDirectory ? this.#directories.get(path) : this.#byInode.get(entry.inode)
    node?.sync(index)
  }

  #file(entry: RecordEntry): FileModel | null {
    const node = this.#byInode.get(entry.inode)
    return node instanceof FileModel ? node : null
  }

  #directoryOf(path: string): DirectoryModel {
    const parent = this.#directories.get(dirname(path))
    if (parent === undefined) throw new Error(`the record never saw the directory of ${path}`)
    return parent
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
