import { IscsiTarget, type IscsiTargetOptions } from '../../src/iscsi-target/iscsi-target.ts'
import type { ChapPolicy } from '../../src/iscsi-target/target-directory.ts'
import { FakeScsiTarget } from './fake-scsi-target.ts'
import { FakeTargetDirectory } from './fake-target-directory.ts'

const DISK_BYTES = 8 * 1024 * 1024
export const TARGET_NAME = 'iqn.2026-11.test:disk'

/** A real portal on a free port of loopback, with a disk in memory behind it. */
export class IscsiPortal implements AsyncDisposable {
  readonly port: number
  readonly disk: FakeScsiTarget
  readonly directory: FakeTargetDirectory
  readonly target: IscsiTarget

  private constructor(
    port: number,
    disk: FakeScsiTarget,
    directory: FakeTargetDirectory,
    target: IscsiTarget,
  ) {
    this.port = port
    this.disk = disk
    this.directory = directory
    this.target = target
  }

  static async open(
    options: Partial<IscsiTargetOptions> & { chap?: ChapPolicy; discoveryChap?: ChapPolicy } = {},
  ): Promise<IscsiPortal> {
    const disk = new FakeScsiTarget(TARGET_NAME, DISK_BYTES)
    const directory = new FakeTargetDirectory(disk)
    directory.chap = options.chap ?? null
    directory.discoveryPolicy = options.discoveryChap ?? null
    const target = new IscsiTarget({ directory, ...options })
    const address = await target.listen('127.0.0.1', 0)
    return new IscsiPortal(Number(address.slice(address.lastIndexOf(':') + 1)), disk, directory, target)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.target.stop()
  }
}
