import { IscsiTarget, type IscsiTargetOptions } from '../../src/iscsi-target/iscsi-target.ts'
import type { ScsiTarget } from '../../src/scsi/scsi-target.ts'
import { FakeScsiTarget } from '../lib/fake-scsi-target.ts'
import { FakeTargetDirectory } from '../lib/fake-target-directory.ts'
import { IscsiInitiator, type LoginOptions } from '../lib/iscsi-initiator.ts'

export const TARGET_NAME = 'iqn.2026-11.io.holdfast:fake'
export const MIB = 1024 * 1024

/** An iSCSI target on a free port with one disk in memory. */
export class FakeServer implements AsyncDisposable {
  readonly disk: FakeScsiTarget
  readonly target: IscsiTarget
  readonly address: string
  readonly #initiators = new Set<IscsiInitiator>()

  private constructor(disk: FakeScsiTarget, target: IscsiTarget, address: string) {
    this.disk = disk
    this.target = target
    this.address = address
  }

  /** `device` is served in place of the disk in memory; it must have that one's name. */
  static async start(options: Partial<IscsiTargetOptions> = {}, device?: ScsiTarget): Promise<FakeServer> {
    const disk = new FakeScsiTarget(TARGET_NAME, 16 * MIB)
    const limits = { stopGraceMs: 50, ...options.limits }
    const target = new IscsiTarget({ directory: new FakeTargetDirectory(device ?? disk), ...options, limits })
    return new FakeServer(disk, target, await target.listen('127.0.0.1', 0))
  }

  async connect(): Promise<IscsiInitiator> {
    const initiator = await IscsiInitiator.connect(this.address)
    this.#initiators.add(initiator)
    // A fuzzer that runs for hours connects millions.
    initiator.socket.once('close', () => this.#initiators.delete(initiator))
    return initiator
  }

  async login(options: Partial<LoginOptions> = {}): Promise<IscsiInitiator> {
    const initiator = await this.connect()
    await initiator.login({ target: TARGET_NAME, ...options })
    return initiator
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const initiator of this.#initiators) await initiator[Symbol.asyncDispose]()
    await this.target.stop()
  }
}

export function read10(block: number, blocks: number): number[] {
  return [0x28, 0, ...bytes(block, 4), 0, ...bytes(blocks, 2), 0]
}

export function write10(block: number, blocks: number): number[] {
  return [0x2a, 0, ...bytes(block, 4), 0, ...bytes(blocks, 2), 0]
}

export function pattern(lengthBytes: number, seed = 1): Buffer {
  const data = Buffer.alloc(lengthBytes)
  for (let i = 0; i < lengthBytes; i++) data[i] = (i * 7 + (i >> 8) + seed) & 0xff
  return data
}

function bytes(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (value / 2 ** (8 * (count - 1 - i))) & 0xff)
}
