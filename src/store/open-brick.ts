import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { nativeCalls } from '../lib/system-calls.ts'
import { ActivityMap, openActivityFile } from './activity-map.ts'
import { type Bank, openBank } from './bank.ts'
import type { Brick, BrickCounters } from './brick.ts'
import { makeJournal, startJournal } from './brick-journal.ts'
import { lockBrick } from './brick-lock.ts'
import type { BrickParts } from './brick-parts.ts'
import { BrickScrubs } from './brick-scrubs.ts'
import { BrickTrust } from './brick-trust.ts'
import { Capacity } from './capacity.ts'
import { type BrickRecord, Catalogue } from './catalogue.ts'
import { keepCatalogueRoom } from './catalogue-room.ts'
import { ChecksumPages } from './checksum-pages.ts'
import { defaultDirtyCapBytes } from './dirty-cap.ts'
import { DirtyTracker } from './dirty-tracker.ts'
import { Durability } from './durability.ts'
import { DurableWrites } from './durable-writes.ts'
import type { FileThread } from './files/file-task.ts'
import { realFiles, type StoreFiles } from './files/store-files.ts'
import { JOURNAL_BYTES_DEFAULT } from './journal/journal-format.ts'
import { ALL_SEGMENTS, bankOf, indexOf, SLOTS_PER_BANK } from './layout.ts'
import { OpenedBrick } from './opened-brick.ts'
import { SegmentClearing } from './segment-clearing.ts'
import { SlotAllocator } from './slot-allocator.ts'
import { SlotIo } from './slot-io.ts'
import { type LastStop, recoverSlots } from './slot-recovery.ts'
import { StampPages } from './stamp-pages.ts'
import { StickyFailure } from './sticky-failure.ts'
import { readSuperblock, type Superblock, syncDirectory, writeSuperblock } from './superblock.ts'
import { VolumeDeletion } from './volume-deletion.ts'
import type { VolumeRooms } from './volume-extents.ts'
import { type MapOptions, NO_SLOT, VolumeMap } from './volume-map.ts'
import { WaitingRead } from './waiting-read.ts'
import { WritePreparation } from './write-preparation.ts'
import { Writeback } from './writeback.ts'
import { Zeroing } from './zeroing.ts'

/** 64 MiB of checksums speak of 64 GiB of data. */
const CHECKSUM_CACHE_BYTES = 64 * 1024 * 1024
/** Writeback under load comes more often; what punches holes can wait for a thread to start. */
const HOUSEKEEPING_IDLE_MS_MAX = 5_000

export interface BrickNotice {
  readonly level: 'info' | 'warn' | 'error'
  /** Constant; what varies is in the fields. */
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface OpenBrickOptions {
  readonly directory: string
  readonly clusterId: string
  /** Makes a brick in a directory that has none. */
  readonly create?: boolean
  /** What the brick may use for data; the size of its file system unless given. */
  readonly limitBytes?: number
  readonly dirtyCapBytes?: number
  readonly checksumCacheBytes?: number
  /** Size of a new brick's journal. */
  readonly journalBytes?: number
  /** Milliseconds; Date.now unless given. */
  readonly clock?: () => number
  /** A uuid; another one means that the machine has rebooted. */
  readonly bootId?: () => string
  readonly notice?: (notice: BrickNotice) => void
  /**
   * What a block in doubt after an unclean stop is that differs from its checksum, until an owner says otherwise
   * (ReplicaVolume.standsAlone): `stand` unless given, which is right where no other brick has a copy.
   */
  readonly blocksInDoubt?: 'stand' | 'are bad'
  /** More segments are active than the target: the owners of volumes should clear some. */
  readonly aboveActiveTarget?: (activeSegments: number) => void
  /**
   * Called with the counter that this open has raised, durably. Records it in the metadata, or rejects with
   * ERR_BRICK_STALE when that is ahead.
   */
  readonly metadataOpenCounter?: (brick: { uuid: string; openCounter: number }) => Promise<void>
  readonly files?: StoreFiles
}

/**
 * Opens a brick, or makes one. Takes seconds however large it is. Throws ERR_BRICK_LOCKED, ERR_BRICK_FORMAT,
 * ERR_BRICK_DAMAGED, ERR_BRICK_STALE.
 */
export async function openBrick(options: OpenBrickOptions): Promise<Brick> {
  if (options.create) fs.mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  if (!fs.existsSync(options.directory)) throw noBrick(options.directory)
  const lock = lockBrick(options.directory)
  const closing: (() => unknown)[] = [() => lock.release()]
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step()
  }
  try {
    return await openLocked(options, closing, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function openLocked(
  options: OpenBrickOptions,
  closing: (() => unknown)[],
  close: () => Promise<void>,
): Promise<Brick> {
  const { directory, files = realFiles, clock = Date.now, notice = () => undefined } = options
  const superblock = await findOrMake(files, options)
  const brick = { directory, uuid: superblock.brickUuid }
  const catalogue = new Catalogue(directory)
  closing.push(() => catalogue.close())
  keepCatalogueRoom(files, directory)

  const before = catalogue.brick()
  const openCounter = before.openCounter + 1
  await catalogue.putBrick({ openCounter, cleanStop: false })
  await options.metadataOpenCounter?.({ uuid: brick.uuid, openCounter })

  let distrusted: Promise<void> = Promise.resolve()
  const failure = new StickyFailure(error => {
    notice({
      level: 'error',
      message: 'the brick has failed and leaves service',
      fields: { reason: error.message, directory },
    })
    // What it holds cannot be trusted by the next process either: to that one it is cold.
    distrusted = catalogue.putBrick({ trustedBootId: '' }).catch(() => undefined)
  })
  closing.push(() => distrusted)
  const flushThread = files.startThread()
  const activityThread = files.startThread()
  const housekeepingThread = files.startThread(HOUSEKEEPING_IDLE_MS_MAX)
  for (const thread of [flushThread, activityThread, housekeepingThread]) closing.push(() => thread.close())

  const banks: Bank[] = []
  closing.push(() => {
    for (const bank of banks) bank.close()
  })
  const activity = new ActivityMap(files, activityThread, failure, brick, segments =>
    options.aboveActiveTarget?.(segments),
  )
  closing.push(() => activity.close())

  const dirty = new DirtyTracker()
  const dirtyCapBytes = options.dirtyCapBytes ?? defaultDirtyCapBytes()
  const writeback = new Writeback(dirtyCapBytes, dirty, banks, housekeepingThread, failure)
  const counters = noCounts()
  const trust = new BrickTrust(() => {
    if (failure.error !== null) return
    catalogue.putBrick({ trustedBootId: bootId }).catch(error => failure.set('recording the boot id', error))
  })
  const limitBytes = options.limitBytes ?? fileSystemBytes(directory)
  const parts: BrickParts = {
    files,
    banks,
    catalogue,
    allocator: new SlotAllocator(files, banks, brick),
    checksums: new ChecksumPages(files, banks, options.checksumCacheBytes ?? CHECKSUM_CACHE_BYTES),
    stamps: new StampPages(files, banks),
    activity,
    capacity: new Capacity({
      limitBytes,
      dirtyCapBytes,
      dirtyBytes: () => dirty.bytes,
      warn: usedBytes =>
        notice({ level: 'warn', message: 'the brick is nearly full', fields: { usedBytes, limitBytes } }),
    }),
    dirty,
    writeback,
    durability: new Durability({ banks, thread: flushThread, dirty, writeback, failure, counters }),
    failure,
    counters,
    clock,
    doubtEnded: () => trust.doubtEnded(),
  }
  const bootId = (options.bootId ?? machineBootId)()
  const lastStop = lastStopOf(before, bootId)
  const mapOptions = { standsAlone: options.blocksInDoubt !== 'are bad' }
  const maps = readMaps(catalogue, mapOptions)
  const freed = openBanks(parts, banks, brick, maps)
  const inDoubt = await recoverSlots(parts, maps.values(), lastStop)
  trust.begin(lastStop === 'cold' || lastStop === 'failed', inDoubt)
  await activity.flush()
  if (lastStop !== 'warm') await parts.durability.flush()

  const rooms = roomsOf(parts, housekeepingThread)
  const { replayedRecords } = await startJournal(rooms, { ...brick, bootId }, maps, activityThread, closing)
  await rooms.deletion.clean(freed)
  if (!nativeCalls) notice({ level: 'warn', message: 'koffi does not load: trims free no space', fields: {} })
  if (inDoubt > 0) {
    notice({
      level: 'warn',
      message: 'the brick was not stopped cleanly: segments are in doubt',
      fields: { segments: inDoubt, lastStop, replayedRecords },
    })
  }
  const { brickUuid: uuid, clusterId } = superblock
  const scrubs = new BrickScrubs(parts, rooms.io, maps, {
    failed: error => notice({ level: 'error', message: 'the scrub has stopped', fields: { error } }),
    bad: (volume, offsetBytes) => opened.replicas.badBlockFound(volume, offsetBytes),
  })
  const state = () => trust.isCold
  const opened = new OpenedBrick({
    uuid,
    clusterId,
    openCounter,
    rooms,
    mapOptions,
    scrubs,
    maps,
    isCold: state,
    close,
  })
  return opened
}

async function findOrMake(files: StoreFiles, options: OpenBrickOptions): Promise<Superblock> {
  const { directory, clusterId } = options
  const found = readSuperblock(directory)
  if (found !== null) {
    if (found.clusterId === clusterId) return found
    throw new HoldfastError(
      'ERR_BRICK_DAMAGED',
      `the brick in ${directory} belongs to cluster ${found.clusterId}, not to ${clusterId}`,
    )
  }
  if (!options.create) throw noBrick(directory)
  // Leftovers of a brick that was never finished.
  for (const name of fs.readdirSync(directory)) {
    if (/^(meta|activity|journal|(data|checksums|stamps)-\d{4,})$/.test(name)) {
      fs.rmSync(path.join(directory, name), { recursive: true })
    }
  }
  syncDirectory(directory)
  const made = { brickUuid: randomUUID(), clusterId, createdMs: Date.now() }
  files.close(openActivityFile(files, { directory, uuid: made.brickUuid }, true))
  // LMDB crashes on a file of which a power cut left a part: it must be whole before there is a brick.
  const catalogue = new Catalogue(directory)
  await catalogue.putBrick({})
  await catalogue.close()
  const journalBytes = options.journalBytes ?? JOURNAL_BYTES_DEFAULT
  await makeJournal(files, { directory, uuid: made.brickUuid }, journalBytes)
  writeSuperblock(files, directory, made)
  return made
}

/** A failure erases the boot id; before the first write into a new brick one was recorded. */
function lastStopOf(before: BrickRecord, bootId: string): LastStop {
  if (before.openCounter === 0) return 'warm'
  if (before.trustedBootId === '') return 'failed'
  if (before.cleanStop) return 'clean'
  return before.trustedBootId === bootId ? 'warm' : 'cold'
}

function readMaps(catalogue: Catalogue, options: MapOptions): Map<string, VolumeMap> {
  const maps = new Map<string, VolumeMap>()
  for (const [uuid, { sizeBytes }] of catalogue.volumes()) {
    maps.set(uuid, new VolumeMap(uuid, sizeBytes, options))
  }
  for (const { volume, extent, slot } of catalogue.slots()) {
    const map = maps.get(volume)
    if (map === undefined || extent >= map.slots.length) {
      throw new HoldfastError(
        'ERR_BRICK_DAMAGED',
        `slot ${slot} belongs to volume ${volume}, which has no room for it`,
      )
    }
    map.slots[extent] = slot
  }
  return maps
}

/** Opens the files and finds what is free. Answers the slots that a deletion left to be emptied. */
function openBanks(
  parts: BrickParts,
  banks: Bank[],
  brick: { directory: string; uuid: string },
  maps: ReadonlyMap<string, VolumeMap>,
): number[] {
  const taken = new Set<number>()
  for (const map of maps.values()) for (const slot of map.slots) if (slot !== NO_SLOT) taken.add(slot)
  const freed = parts.catalogue.freedSlots()
  let end = 0
  for (const slot of [...taken, ...freed]) end = Math.max(end, slot + 1)
  for (let number = 0; number * SLOTS_PER_BANK < end; number++) {
    banks[number] = openBank(parts.files, brick, number, false)
  }
  parts.activity.read(end)
  for (let slot = 0; slot < end; slot++) {
    if (!taken.has(slot)) parts.activity.deactivate(slot, ALL_SEGMENTS)
  }
  const beingFreed = new Set(freed)
  parts.allocator.restore(end, slot => taken.has(slot) || beingFreed.has(slot))
  return freed
}

function roomsOf(parts: BrickParts, thread: FileThread): VolumeRooms {
  const io = new SlotIo(parts)
  const preparation = new WritePreparation(parts)
  const reads = new WaitingRead(parts, io)
  const clearing = new SegmentClearing(parts, reads)
  const zeroing = new Zeroing(parts, io, preparation)
  return {
    parts,
    io,
    preparation,
    reads,
    zeroing,
    clearing,
    durableWrites: new DurableWrites(parts),
    deletion: new VolumeDeletion(parts, thread),
    generationRose(map: VolumeMap) {
      for (const slot of map.slots) {
        if (slot !== NO_SLOT) parts.banks[bankOf(slot)]!.forgetReady(indexOf(slot))
      }
      void replaceUnknownStamps(parts, map)
    },
  }
}

async function replaceUnknownStamps(parts: BrickParts, map: VolumeMap): Promise<void> {
  for (const slot of map.unknownStamps) {
    const bank = parts.banks[bankOf(slot)]!
    const loaded = await parts.stamps.load(bank, indexOf(slot))
    const result = loaded < 0 ? loaded : parts.stamps.replaceUnknown(bank, indexOf(slot), map.generation)
    if (result < 0) parts.failure.set('writing stamps', result)
    map.unknownStamps.delete(slot)
  }
}

function machineBootId(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

function fileSystemBytes(directory: string): number {
  const { blocks, bsize } = fs.statfsSync(directory)
  return blocks * bsize
}

function noCounts(): BrickCounters {
  return {
    checksumErrors: 0,
    flushes: 0,
    fdatasyncs: 0,
    readsInline: 0,
    readsWaited: 0,
    writesInline: 0,
    writesWaited: 0,
  }
}

function noBrick(directory: string): HoldfastError {
  return new HoldfastError('ERR_BRICK_DAMAGED', `there is no brick in ${directory}`)
}
