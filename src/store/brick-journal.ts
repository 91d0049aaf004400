import path from 'node:path'
import { BlockStatus } from '../block/block-status.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { Errno, errnoName } from '../lib/system-calls.ts'
import type { FileThread } from './files/file-task.ts'
import type { StoreFiles } from './files/store-files.ts'
import type { JournalFile } from './journal/journal.ts'
import type { JournalRecord } from './journal/journal-format.ts'
import { createJournal, type OpenedJournal, openJournal } from './journal/journal-open.ts'
import { SLOT_BYTES } from './layout.ts'
import { StoredVolume, type VolumeRooms } from './volume-extents.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

/** The journal's file under the brick's file layer; `sync` is where its fdatasync waits. */
class BrickJournalFile implements JournalFile {
  readonly path: string
  readonly fd: number
  readonly #files: StoreFiles
  readonly #sync: (fd: number) => Promise<number> | number

  constructor(
    files: StoreFiles,
    directory: string,
    create: boolean,
    sync: (fd: number) => Promise<number> | number,
  ) {
    this.path = path.join(directory, 'journal')
    this.#files = files
    this.#sync = sync
    try {
      this.fd = files.open(this.path, create)
    } catch (error) {
      throw new HoldfastError('ERR_BRICK_DAMAGED', `${this.path} cannot be opened`, { cause: error })
    }
  }

  read(into: Buffer, atBytes: number): void {
    into.fill(0)
    this.#check('read', this.#files.pread(this.fd, into, 0, into.length, atBytes))
  }

  write(from: Buffer, lengthBytes: number, atBytes: number): void {
    this.#check('written', this.#files.pwrite(this.fd, from, 0, lengthBytes, atBytes))
  }

  async sync(): Promise<void> {
    this.#check('synced', await this.#sync(this.fd))
  }

  reserve(sizeBytes: number): void {
    const result = this.#files.fallocate(this.fd, 0, 0, sizeBytes)
    const cannot = result === -Errno.EOPNOTSUPP || result === -Errno.ENOSYS
    this.#check('made', cannot ? this.#files.extend(this.fd, sizeBytes) : result)
  }

  close(): void {
    this.#files.close(this.fd)
  }

  #check(what: string, result: number): void {
    if (result >= 0) return
    const [code, reason] =
      result === -Errno.ENOSPC
        ? (['ERR_BLOCK_NO_SPACE', 'no space is left on the device'] as const)
        : (['ERR_BLOCK_IO', errnoName(result)] as const)
    throw new HoldfastError(code, `${this.path} cannot be ${what}: ${reason}`)
  }
}

/** Makes the journal of a new brick, durably but for its name. */
export async function makeJournal(
  files: StoreFiles,
  brick: { directory: string; uuid: string },
  sizeBytes: number,
): Promise<void> {
  const file = new BrickJournalFile(files, brick.directory, true, fd => files.fdatasync(fd))
  try {
    file.reserve(sizeBytes)
    await createJournal(file, sizeBytes, brick.uuid)
  } finally {
    file.close()
  }
}

/** Opens the journal, puts in place what a crash left in it, and has writes use it from then on. */
export async function startJournal(
  rooms: VolumeRooms,
  brick: { directory: string; uuid: string; bootId: string },
  maps: ReadonlyMap<string, VolumeMap>,
  thread: FileThread,
  closing: (() => unknown)[],
): Promise<OpenedJournal> {
  const { durability, files } = rooms.parts
  const file = new BrickJournalFile(files, brick.directory, false, fd => thread.run({ sync: [fd] }))
  closing.push(() => file.close())
  const opened = await openJournal(file, {
    brickUuid: brick.uuid,
    bootId: brick.bootId,
    found: record => noteAtomics(maps, record),
    replay: (record, payload) => replay(rooms, maps, record, payload),
    makeDurable: () => durability.flush(),
    makeRoom: () => durability.flush(),
  })
  rooms.durableWrites.use(opened.journal)
  return opened
}

/** Which writes of a record were atomic it does not say; those of one volume that touch count as one. */
function noteAtomics(maps: ReadonlyMap<string, VolumeMap>, { targets }: JournalRecord): void {
  let last = { offsetBytes: 0, lengthBytes: 0 }
  let lastVolume = ''
  for (const { volume, extent, offsetBytes, lengthBytes } of targets) {
    const at = extent * SLOT_BYTES + offsetBytes
    if (lastVolume === volume && last.offsetBytes + last.lengthBytes === at) last.lengthBytes += lengthBytes
    else {
      last = { offsetBytes: at, lengthBytes }
      lastVolume = volume
      maps.get(volume)?.atomicsAtOpen.push(last)
    }
  }
}

async function replay(
  rooms: VolumeRooms,
  maps: ReadonlyMap<string, VolumeMap>,
  record: JournalRecord,
  payload: Buffer,
): Promise<void> {
  let at = 0
  for (const { volume, extent, offsetBytes, lengthBytes } of record.targets) {
    const map = maps.get(volume)
    if (map !== undefined && (map.slots[extent] ?? NO_SLOT) !== NO_SLOT) {
      const stored = new StoredVolume(map, rooms)
      const status = await stored.writeWaiting(extent * SLOT_BYTES + offsetBytes, lengthBytes, payload, at)
      if (status !== BlockStatus.ok) {
        throw new HoldfastError(
          'ERR_BRICK_DAMAGED',
          `record ${record.sequence} of the journal cannot be replayed`,
        )
      }
    }
    at += lengthBytes
  }
}
