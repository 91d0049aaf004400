import { describe, expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { ScsiStatus } from '../scsi-command.ts'

const DBD = 0x08
const LLBAA = 0x10
const CHANGEABLE = 1
const DEFAULT = 2
const SAVED = 3
const invalidParameter = [0x5, 0x26, 0x00]

const TAS = 0x40
const controlPage = (byte2: number, byte4 = 0) => [0x0a, 10, byte2, 0x10, byte4, TAS, 0, 0, 0, 0, 0, 0]
const cachingPage = (byte2: number) => [0x08, 18, byte2, ...Array(17).fill(0)]
const header6 = [0, 0, 0, 0]

async function served() {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  const select = (...bytes: number[]) =>
    initiator.run(cdb.modeSelect6(bytes.length), { dataOut: Buffer.from(bytes) })
  return { device, initiator, select }
}

describe('MODE SENSE', () => {
  test('header and block descriptor of all pages, in both sizes', async () => {
    const { initiator } = await served()
    const short = (await initiator.run(cdb.modeSense6(0x3f))).data
    expect([short[0], short[2], short[3]]).toEqual([short.length - 1, 0x10, 8])
    expect([short.readUInt32BE(4), short.readUIntBE(9, 3)]).toEqual([2 ** 15, 512])
    const long = (await initiator.run(cdb.modeSense10(0x3f, 0, LLBAA))).data
    expect([long.readUInt16BE(0), long[4], long.readUInt16BE(6)]).toEqual([long.length - 2, 1, 16])
    expect([Number(long.readBigUInt64BE(8)), long.readUInt32BE(20)]).toEqual([2 ** 15, 512])
    const pages = (await initiator.run(cdb.modeSense6(0x3f, 0, DBD))).data.subarray(4)
    const codes: number[] = []
    for (let at = 0; at < pages.length; at += 2 + pages[at + 1]!) codes.push(pages[at]!)
    expect(codes).toEqual([0x08, 0x0a, 0x1c])
  })

  test('changeable values are the masks that MODE SELECT keeps to', async () => {
    const { initiator } = await served()
    const caching = (await initiator.run(cdb.modeSense6(0x08, CHANGEABLE, DBD))).data.subarray(4)
    expect([...caching]).toEqual(cachingPage(0x04))
    const control = (await initiator.run(cdb.modeSense6(0x0a, CHANGEABLE, DBD))).data.subarray(4)
    expect([...control.subarray(2, 6)]).toEqual([0x04, 0, 0x08, TAS])
  })

  test('saved values are not supported, unknown pages and subpages do not exist', async () => {
    const { initiator } = await served()
    expect((await initiator.run(cdb.modeSense6(0x0a, SAVED))).code).toEqual([0x5, 0x39, 0x00])
    expect((await initiator.run(cdb.modeSense6(0x19))).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run([0x1a, 0, 0x0a, 1, 255, 0])).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run([0x1a, 0, 0x3f, 0xff, 255, 0])).status).toBe(ScsiStatus.good)
  })
})

describe('MODE SELECT', () => {
  test('WCE off makes every write durable before it is answered', async () => {
    const { device, initiator, select } = await served()
    expect((await select(...header6, ...cachingPage(0))).status).toBe(ScsiStatus.good)
    let wasDurable = false
    device.volume.fault = kind => {
      wasDurable = kind === BlockKind.write && device.volume.lastOperation?.fua === true
      return null
    }
    await initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })
    expect(wasDurable).toBe(true)
    expect((await initiator.run(cdb.modeSense6(0x08, DEFAULT, DBD))).data[6]).toBe(0x04)
    expect((await initiator.run(cdb.modeSense6(0x08, 0, DBD))).data[6]).toBe(0)
  })

  test('D_SENSE turns sense data into descriptors', async () => {
    const { initiator, select } = await served()
    await select(...header6, ...controlPage(0x04))
    const answer = await initiator.run(cdb.read10(0, 1, 0xe0))
    expect(answer.code).toEqual([0x5, 0x24, 0x00])
    expect([answer.sense[0], answer.sense[7], answer.sense[8], answer.sense[9]]).toEqual([0x72, 8, 2, 6])
    expect([...answer.sense.subarray(12, 15)]).toEqual([0xc0, 0, 1])
  })

  test('SWP refuses writes with its own code, and shows as WP', async () => {
    const { initiator, select } = await served()
    await select(...header6, ...controlPage(0, 0x08))
    const write = await initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })
    expect(write.code).toEqual([0x7, 0x27, 0x02])
    expect((await initiator.run(cdb.modeSense6(0x08))).data[2]).toBe(0x90)
    await select(...header6, ...controlPage(0))
    expect((await initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })).status).toBe(0)
  })

  test('a list with one bad page changes nothing', async () => {
    const { initiator, select } = await served()
    const answer = await select(...header6, ...controlPage(0x04), 0x08, 17, ...Array(17).fill(0))
    expect(answer.code).toEqual(invalidParameter)
    expect([...answer.sense.subarray(15, 18)]).toEqual([0x80, 0, 4 + 12 + 1])
    expect((await initiator.run(cdb.modeSense6(0x0a, 0, DBD))).data[6]).toBe(0)
  })

  test('bits that are not changeable, unknown pages and other block sizes are refused', async () => {
    const { select } = await served()
    expect((await select(...header6, ...controlPage(0x06))).code).toEqual(invalidParameter)
    expect((await select(...header6, 0x19, 2, 0, 0)).code).toEqual(invalidParameter)
    const descriptor = (blockSize: number) => [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, blockSize >> 8, blockSize & 0xff]
    expect((await select(...descriptor(4096))).code).toEqual(invalidParameter)
    expect((await select(...descriptor(512))).status).toBe(ScsiStatus.good)
    expect((await select(0, 0, 0, 5, 0, 0, 0, 0, 0)).code).toEqual(invalidParameter)
  })

  test('lists that are cut off, SP and PF=0', async () => {
    const { initiator, select } = await served()
    for (const cut of [
      [0, 0],
      [...header6, ...controlPage(0).slice(0, 7)],
      [0, 0, 0, 8, 0, 0],
    ]) {
      expect((await select(...cut)).code).toEqual([0x5, 0x1a, 0x00])
    }
    const dataOut = Buffer.from(header6)
    expect((await initiator.run(cdb.modeSelect6(4, 0x11), { dataOut })).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run(cdb.modeSelect6(4, 0x00), { dataOut })).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run(cdb.modeSelect6(0))).status).toBe(ScsiStatus.good)
    expect((await initiator.run(cdb.modeSelect6(20), { dataOut })).code).toEqual([0x5, 0x1a, 0x00])
  })

  test('the ten-byte form, with a long block descriptor', async () => {
    const { initiator } = await served()
    const list = Buffer.alloc(8 + 16 + 12)
    list[4] = 1
    list.writeUInt16BE(16, 6)
    list.writeBigUInt64BE(2n ** 15n, 8)
    list.writeUInt32BE(512, 20)
    list.set(controlPage(0x04), 24)
    expect((await initiator.run(cdb.modeSelect10(list.length), { dataOut: list })).status).toBe(0)
    list.writeUInt32BE(4096, 20)
    expect((await initiator.run(cdb.modeSelect10(list.length), { dataOut: list })).code).toEqual(
      invalidParameter,
    )
  })
})
