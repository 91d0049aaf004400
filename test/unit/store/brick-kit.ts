import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { BlockKind, BlockOperation } from '../../../src/block/block-operation.ts'
import type { BlockStatus } from '../../../src/block/block-status.ts'
import type { Brick, VolumeExtents } from '../../../src/store/brick.ts'
import { type OpenBrickOptions, openBrick } from '../../../src/store/open-brick.ts'
import { FaultyFiles } from './faulty-files.ts'

export const VOLUME = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff'
export const BOOT_1 = '0b0070ac-8e1d-4e0f-9e42-0a4c6a7e1001'
export const BOOT_2 = '0b0070ac-8e1d-4e0f-9e42-0a4c6a7e1002'
export const BOOT_3 = '0b0070ac-8e1d-4e0f-9e42-0a4c6a7e1003'
export const KIB = 1024
export const MIB = 1024 * 1024
export const BLOCK = 4096
export const CLUSTER = 'cluster-of-the-test'

/** A directory that is gone after the test. */
export function tempDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-store-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

export interface TestBrick {
  readonly brick: Brick
  readonly files: FaultyFiles
  readonly directory: string
}

/** A brick with a file layer that can fail, closed after the test. */
export async function aBrick(options: Partial<OpenBrickOptions> = {}): Promise<TestBrick> {
  const directory = options.directory ?? tempDirectory()
  const files = new FaultyFiles()
  const brick = await openBrick({
    directory,
    clusterId: CLUSTER,
    create: true,
    files,
    limitBytes: 1024 * MIB,
    dirtyCapBytes: 64 * MIB,
    journalBytes: 4 * MIB,
    bootId: () => BOOT_1,
    ...options,
  })
  onTestFinished(async () => {
    files.before = () => 0
    files.beforeTask = () => undefined
    await brick[Symbol.asyncDispose]()
  })
  return { brick, files, directory }
}

export async function aVolume(brick: Brick, sizeBytes = 256 * MIB): Promise<VolumeExtents> {
  await brick.createVolume({ uuid: VOLUME, sizeBytes, epoch: 1, setVersion: 1 })
  return openIt(brick)
}

export async function openIt(brick: Brick): Promise<VolumeExtents> {
  const volume = await brick.openVolume(VOLUME)
  volume.generation = 1
  return volume
}

/**
 * The brick as a process that was killed now leaves it: a copy of the directory. With `bootId` the next
 * process finds that the machine has rebooted.
 */
export function killed(directory: string): string {
  const copy = path.join(tempDirectory(), 'copy')
  execFileSync('cp', ['-a', '--sparse=always', directory, copy])
  return copy
}

export function blocksOf(value: number, count = 1): Buffer {
  return Buffer.alloc(count * BLOCK, value)
}

export function submit(
  volume: VolumeExtents,
  kind: BlockKind,
  offsetBytes: number,
  lengthBytes: number,
  data?: Buffer,
  fua = false,
): Promise<BlockOperation> {
  return new Promise(resolve => {
    const operation = new BlockOperation({ blockDone: resolve })
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.fua = fua
    if (data !== undefined) operation.data = data
    volume.submit(operation)
  })
}

export async function write(volume: VolumeExtents, offsetBytes: number, data: Buffer): Promise<BlockStatus> {
  return (await submit(volume, BlockKind.write, offsetBytes, data.length, data)).status
}

export async function read(
  volume: VolumeExtents,
  offsetBytes: number,
  lengthBytes: number,
): Promise<{ status: BlockStatus; data: Buffer; failedAtBytes: number }> {
  const data = Buffer.alloc(lengthBytes, 0xee)
  const { status, failedAtBytes } = await submit(volume, BlockKind.read, offsetBytes, lengthBytes, data)
  return { status, data, failedAtBytes }
}

export async function flush(volume: VolumeExtents): Promise<BlockStatus> {
  return (await submit(volume, BlockKind.flush, 0, 0)).status
}

export async function trim(
  volume: VolumeExtents,
  offsetBytes: number,
  lengthBytes: number,
): Promise<BlockStatus> {
  return (await submit(volume, BlockKind.trim, offsetBytes, lengthBytes)).status
}

export async function zero(
  volume: VolumeExtents,
  offsetBytes: number,
  lengthBytes: number,
): Promise<BlockStatus> {
  return (await submit(volume, BlockKind.zero, offsetBytes, lengthBytes)).status
}

/** What `du` counts. */
export function diskBytes(directory: string, name: string): number {
  return fs.statSync(path.join(directory, name)).blocks * 512
}
