import { TargetDevice, type TargetDeviceOptions } from '../../src/scsi/target-device.ts'
import { MemoryVolume, type MemoryVolumeOptions } from './memory-volume.ts'
import { ScsiInitiator } from './scsi-initiator.ts'

/** A target device with one volume in memory at LUN 0, and as many initiators as asked for. */
export class ScsiDevice {
  readonly volume: MemoryVolume
  readonly target: TargetDevice
  #initiators = 0

  private constructor(volume: MemoryVolume, options: Partial<TargetDeviceOptions>) {
    this.volume = volume
    this.target = new TargetDevice({
      name: 'iqn.2026-11.io.holdfast:test',
      identity: { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' },
      ...options,
    })
  }

  static async serve(
    volume: MemoryVolumeOptions & { readonly lunReadOnly?: boolean } = {},
    options: Partial<TargetDeviceOptions> = {},
  ): Promise<ScsiDevice> {
    const device = new ScsiDevice(new MemoryVolume(volume), options)
    await device.target.setUnits(
      new Map([[0, { volume: device.volume, readOnly: volume.lunReadOnly ?? false }]]),
    )
    return device
  }

  /** Another initiator port of the same host. */
  initiator(): ScsiInitiator {
    this.#initiators += 1
    return new ScsiInitiator(this.target, this.#initiators.toString(16).padStart(12, '0'))
  }
}

const be = (value: number, bytes: number): number[] => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64BE(BigInt(value))
  return [...buffer.subarray(8 - bytes)]
}

/** CDBs by name, with the fields that tests vary. */
export const cdb = {
  testUnitReady: () => [0x00, 0, 0, 0, 0, 0],
  requestSense: (desc = 0) => [0x03, desc, 0, 0, 252, 0],
  inquiry: (evpd = 0, page = 0, allocation = 1024) => [0x12, evpd, page, ...be(allocation, 2), 0],
  reportLuns: (select = 0, allocation = 4096) => [0xa0, 0, select, 0, 0, 0, ...be(allocation, 4), 0, 0],
  read10: (lba: number, blocks: number, flags = 0) => [0x28, flags, ...be(lba, 4), 0, ...be(blocks, 2), 0],
  write10: (lba: number, blocks: number, flags = 0) => [0x2a, flags, ...be(lba, 4), 0, ...be(blocks, 2), 0],
  read16: (lba: number, blocks: number, flags = 0) => [0x88, flags, ...be(lba, 8), ...be(blocks, 4), 0, 0],
  write16: (lba: number, blocks: number, flags = 0) => [0x8a, flags, ...be(lba, 8), ...be(blocks, 4), 0, 0],
  verify10: (lba: number, blocks: number, byteCheck = 0) => [
    0x2f,
    byteCheck << 1,
    ...be(lba, 4),
    0,
    ...be(blocks, 2),
    0,
  ],
  synchronizeCache10: (flags = 0) => [0x35, flags, 0, 0, 0, 0, 0, 0, 0, 0],
  writeSame16: (lba: number, blocks: number, flags = 0) => [
    0x93,
    flags,
    ...be(lba, 8),
    ...be(blocks, 4),
    0,
    0,
  ],
  unmap: (parameterBytes: number) => [0x42, 0, 0, 0, 0, 0, 0, ...be(parameterBytes, 2), 0],
  compareAndWrite: (lba: number, blocks: number) => [0x89, 0, ...be(lba, 8), 0, 0, 0, blocks, 0, 0],
  modeSense10: (page: number, pageControl = 0, flags = 0) => [
    0x5a,
    flags,
    (pageControl << 6) | page,
    0,
    0,
    0,
    0,
    ...be(1024, 2),
    0,
  ],
  modeSense6: (page: number, pageControl = 0, flags = 0) => [
    0x1a,
    flags,
    (pageControl << 6) | page,
    0,
    255,
    0,
  ],
  modeSelect6: (parameterBytes: number, flags = 0x10) => [0x15, flags, 0, 0, parameterBytes, 0],
  modeSelect10: (parameterBytes: number) => [0x55, 0x10, 0, 0, 0, 0, 0, ...be(parameterBytes, 2), 0],
  reserveIn: (serviceAction: number) => [0x5e, serviceAction, 0, 0, 0, 0, 0, ...be(1024, 2), 0],
  reserveOut: (serviceAction: number, type = 0) => [0x5f, serviceAction, type, 0, 0, 0, 0, 0, 24, 0],
  reportOperationCodes: (options: number, operationCode = 0, serviceAction = 0) => [
    0xa3,
    0x0c,
    options,
    operationCode,
    ...be(serviceAction, 2),
    ...be(8192, 4),
    0,
    0,
  ],
}

/** PERSISTENT RESERVE OUT parameter list. */
export function reserveOutList(key: bigint, serviceActionKey: bigint, flags = 0): Buffer {
  const list = Buffer.alloc(24)
  list.writeBigUInt64BE(key, 0)
  list.writeBigUInt64BE(serviceActionKey, 8)
  list[20] = flags
  return list
}

/** UNMAP parameter list of [lba, blocks] pairs. */
export function unmapList(...ranges: readonly (readonly [lba: number, blocks: number])[]): Buffer {
  const list = Buffer.alloc(8 + 16 * ranges.length)
  list.writeUInt16BE(list.length - 2, 0)
  list.writeUInt16BE(16 * ranges.length, 2)
  ranges.forEach(([lba, blocks], index) => {
    list.writeBigUInt64BE(BigInt(lba), 8 + 16 * index)
    list.writeUInt32BE(blocks, 16 + 16 * index)
  })
  return list
}
