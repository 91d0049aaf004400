import { describe, expect, test } from 'vitest'
import { cdb, reserveOutList, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { ScsiStatus } from '../scsi-command.ts'

const EJECT = [0x1b, 0, 0, 0, 0x02, 0]
const LOAD = [0x1b, 0, 0, 0, 0x03, 0]
const START = [0x1b, 0, 0, 0, 0x01, 0]
const PREVENT = [0x1e, 0, 0, 0, 1, 0]
const ALLOW = [0x1e, 0, 0, 0, 0, 0]
const READ_CAPACITY = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]
const notPresent = [0x2, 0x3a, 0x00]
const prevented = [0x5, 0x53, 0x02]
const { good, reservationConflict } = ScsiStatus

async function removable() {
  const device = await ScsiDevice.serve({ removable: true })
  return { device, one: device.initiator(), two: device.initiator() }
}

describe('START STOP UNIT with LOEJ', () => {
  test('an ejected unit makes data durable, then has no medium for any initiator', async () => {
    const { device, one, two } = await removable()
    expect((await one.run(EJECT)).status).toBe(good)
    expect(device.volume.kindsApplied).toEqual([BlockKind.flush])
    const dataOut = Buffer.alloc(512)
    for (const initiator of [one, two]) {
      for (const command of [cdb.testUnitReady(), cdb.read10(0, 1), READ_CAPACITY, START]) {
        expect((await initiator.run(command)).code).toEqual(notPresent)
      }
      expect((await initiator.run(cdb.write10(0, 1), { dataOut })).code).toEqual(notPresent)
    }
  })

  test('what does not touch the medium goes on while it is ejected', async () => {
    const { one } = await removable()
    await one.run(EJECT)
    const commands = [cdb.inquiry(), cdb.reportLuns(), cdb.modeSense6(0x08), cdb.reserveIn(0), EJECT, PREVENT]
    for (const command of commands) expect((await one.run(command)).status).toBe(good)
  })

  test('loading brings the medium back, and tells everybody else that it may have changed', async () => {
    const { one, two } = await removable()
    await one.run(EJECT)
    expect((await one.run(LOAD)).status).toBe(good)
    expect((await one.run(cdb.testUnitReady())).status).toBe(good)
    expect((await two.run(cdb.testUnitReady())).code).toEqual([0x6, 0x28, 0x00])
    expect((await two.run(cdb.read10(0, 1))).status).toBe(good)
    await one.run(LOAD)
    expect((await two.run(cdb.testUnitReady())).status).toBe(good)
  })

  test('with a power condition, START and LOEJ mean nothing', async () => {
    const { device, one } = await removable()
    for (const condition of [0x10, 0x20, 0x30, 0x70, 0xa0, 0xb0]) {
      expect((await one.run([0x1b, 0, 0, 0, condition | 0x02, 0])).status).toBe(good)
      expect((await one.run(cdb.testUnitReady())).status).toBe(good)
    }
    expect(device.volume.kindsApplied).toEqual([])
  })

  test('a fixed unit has nothing to eject', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    expect((await initiator.run(EJECT)).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run(LOAD)).code).toEqual([0x5, 0x24, 0x00])
  })
})

describe('PREVENT ALLOW MEDIUM REMOVAL', () => {
  test('while one nexus prevents it, nobody ejects', async () => {
    const { one, two } = await removable()
    await one.run(PREVENT)
    await two.run(PREVENT)
    await one.run(ALLOW)
    for (const initiator of [one, two]) expect((await initiator.run(EJECT)).code).toEqual(prevented)
    expect((await one.run(cdb.testUnitReady())).status).toBe(good)
    await two.run(ALLOW)
    expect((await one.run(EJECT)).status).toBe(good)
    await two.run(PREVENT)
    expect((await one.run(LOAD)).code).toEqual(prevented)
  })

  test('the loss of the nexus and every reset allow it again', async () => {
    for (const end of ['leave', 'logicalUnitReset', 'targetWarmReset', 'targetColdReset'] as const) {
      const { one, two } = await removable()
      await one.run(PREVENT)
      if (end === 'leave') await one.leave()
      else {
        await one.manage(end)
        await two.run(cdb.testUnitReady())
      }
      expect((await two.run(EJECT)).status).toBe(good)
    }
  })

  test('PREEMPT AND ABORT allows it for those that it preempts', async () => {
    const { one, two } = await removable()
    await one.run(cdb.reserveOut(0x00), { dataOut: reserveOutList(0n, 1n) })
    await two.run(cdb.reserveOut(0x00), { dataOut: reserveOutList(0n, 2n) })
    await one.run(PREVENT)
    await two.run(cdb.reserveOut(0x05, 1), { dataOut: reserveOutList(2n, 1n) })
    expect((await two.run(EJECT)).status).toBe(good)
  })

  test('under a reservation of another, preventing conflicts and allowing does not', async () => {
    const { one, two } = await removable()
    await one.run([0x16, 0, 0, 0, 0, 0])
    expect((await two.run(PREVENT)).status).toBe(reservationConflict)
    expect((await two.run(ALLOW)).status).toBe(good)
    expect((await two.run([0x1e, 0, 0, 0, 2, 0])).code).toEqual([0x5, 0x24, 0x00])
  })
})
