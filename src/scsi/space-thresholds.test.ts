import { describe, expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../test/lib/scsi-device.ts'
import type { ScsiInitiator } from '../../test/lib/scsi-initiator.ts'
import { BlockStatus } from '../block/block-status.ts'

const MIB = 2 ** 20
const softThresholdReached = [0x6, 0x38, 0x07]
const invalidField = [0x5, 0x24, 0x00]

function logSense(page: number, subpage = 0, pointer = 0): number[] {
  return [0x4d, 0, 0x40 | page, subpage, 0, pointer >> 8, pointer & 0xff, 4, 0, 0]
}

const turCode = async (initiator: ScsiInitiator) => (await initiator.run(cdb.testUnitReady())).code

async function served(availableMib: number, scarceBelowMib = 15) {
  const device = await ScsiDevice.serve()
  const setAvailable = (mib: number) => {
    device.volume.space = {
      usedBytes: 5 * MIB,
      availableBytes: mib * MIB,
      scarceBelowBytes: scarceBelowMib * MIB,
    }
    device.volume.tell('space')
  }
  setAvailable(availableMib)
  return { device, initiator: device.initiator(), setAvailable }
}

describe('LOG SENSE', () => {
  test('lists its pages, and its pages with subpages, in ascending order', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    expect([...(await initiator.run(logSense(0x00))).data]).toEqual([0x00, 0, 0, 3, 0x00, 0x0c, 0x2f])
    const { data } = await initiator.run(logSense(0x00, 0xff))
    expect([...data.subarray(0, 4)]).toEqual([0x40, 0xff, 0, 12])
    expect([...data.subarray(4)]).toEqual([0, 0, 0, 0xff, 0x0c, 0, 0x0c, 0xff, 0x2f, 0, 0x2f, 0xff])
    expect([...(await initiator.run(logSense(0x0c, 0xff))).data.subarray(4)]).toEqual([0x0c, 0, 0x0c, 0xff])
  })

  test('page 0Ch counts what is left for all and what this volume uses, in threshold sets', async () => {
    const { initiator } = await served(90)
    const { data } = await initiator.run(logSense(0x0c))
    const setBytes = 512 * 2 ** (await initiator.run(cdb.inquiry(1, 0xb2))).data[4]!
    expect(data.readUInt16BE(2)).toBe(data.length - 4)
    expect([data.readUInt16BE(4), data[6], data[7]]).toEqual([0x0001, 0x03, 8])
    expect([data.readUInt32BE(8) * setBytes, data[12]]).toEqual([90 * MIB, 0b10])
    expect([data.readUInt16BE(16), data.readUInt32BE(20) * setBytes, data[24]]).toEqual([2, 5 * MIB, 0b01])
  })

  test('begins with the parameter that is asked for, and refuses what there is not', async () => {
    const { initiator } = await served(90)
    expect((await initiator.run(logSense(0x0c, 0, 2))).data.readUInt16BE(4)).toBe(2)
    for (const request of [logSense(0x0c, 0, 3), logSense(0x0d), logSense(0x0c, 1), logSense(0, 0, 1)]) {
      expect((await initiator.run(request)).code).toEqual(invalidField)
    }
    expect((await initiator.run([0x4d, 1, 0x40, 0, 0, 0, 0, 0, 255, 0])).code).toEqual(invalidField)
  })

  test('page 2Fh has no exception to report', async () => {
    const { data } = await (await ScsiDevice.serve()).initiator().run(logSense(0x2f))
    expect([...data]).toEqual([0x2f, 0, 0, 8, 0, 0, 3, 4, 0, 0, 0xff, 0])
  })
})

describe('the soft threshold', () => {
  test('is told to every nexus when little is left, once until there is more again', async () => {
    const { device, initiator, setAvailable } = await served(90)
    const other = device.initiator()
    setAvailable(16)
    expect(await turCode(initiator)).toBeNull()
    setAvailable(15)
    setAvailable(14)
    expect([await turCode(initiator), await turCode(other)]).toEqual([
      softThresholdReached,
      softThresholdReached,
    ])
    setAvailable(3)
    expect(await turCode(initiator)).toBeNull()
    setAvailable(50)
    setAvailable(2)
    expect(await turCode(initiator)).toEqual(softThresholdReached)
  })

  test('mode page 1Ch/02h holds it, and initiators move it or turn it off', async () => {
    const { initiator, setAvailable } = await served(90)
    const sense = [0x5a, 0x08, 0x1c, 0x02, 0, 0, 0, 4, 0, 0]
    const page = (await initiator.run(sense)).data.subarray(8)
    expect([...page.subarray(0, 4)]).toEqual([0x5c, 0x02, 0, 20])
    expect([...page.subarray(16)]).toEqual([0x80, 0x01, 0, 0, 0, 0, 0, 15])
    const changeable = (await initiator.run([0x5a, 0x08, 0x5c, 0x02, 0, 0, 0, 4, 0, 0])).data.subarray(8)
    expect([...changeable.subarray(16)]).toEqual([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
    const select = async (first: number, sets: number) => {
      const list = Buffer.concat([Buffer.alloc(8), page])
      list[8 + 16] = first
      list.writeUInt32BE(sets, 8 + 20)
      return (await initiator.run(cdb.modeSelect10(list.length), { dataOut: list })).code
    }
    expect(await select(0x80, 80)).toBeNull()
    expect((await initiator.run(sense)).data.readUInt32BE(8 + 20)).toBe(80)
    setAvailable(79)
    expect(await turCode(initiator)).toEqual(softThresholdReached)
    expect(await select(0x00, 80)).toBeNull()
    setAvailable(90)
    setAvailable(1)
    expect(await turCode(initiator)).toBeNull()
    // Another type, an increasing threshold.
    expect(await select(0x81, 80)).toEqual([0x5, 0x26, 0x00])
    expect(await select(0x80, 1)).toBeNull()
    expect(await turCode(initiator)).toEqual(softThresholdReached)
  })

  test('MODE SENSE gives the subpage where subpages are asked for, alone or with all', async () => {
    const { initiator } = await served(90)
    const codes = async (page: number, subpage: number) => {
      const { data } = await initiator.run([0x5a, 0x08, page, subpage, 0, 0, 0, 4, 0, 0])
      const found: string[] = []
      for (let at = 8; at < data.length; ) {
        const hasSubpage = (data[at]! & 0x40) !== 0
        found.push(`${(data[at]! & 0x3f).toString(16)}/${hasSubpage ? data[at + 1]! : 0}`)
        at += hasSubpage ? 4 + data.readUInt16BE(at + 2) : 2 + data[at + 1]!
      }
      return found
    }
    expect(await codes(0x1c, 0)).toEqual(['1c/0'])
    expect(await codes(0x1c, 0xff)).toEqual(['1c/0', '1c/2'])
    expect(await codes(0x3f, 0)).toEqual(['8/0', 'a/0', '1c/0'])
    expect(await codes(0x3f, 0xff)).toEqual(['8/0', 'a/0', '1c/0', '1c/2'])
  })
})

test('a write for which nothing is left fails with 27/07', async () => {
  const { device, initiator } = await served(0, 0)
  device.volume.fault = () => ({ status: BlockStatus.noSpace })
  const { code } = await initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })
  expect(code).toEqual([0x7, 0x27, 0x07])
})
