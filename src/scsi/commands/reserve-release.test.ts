import { expect, test } from 'vitest'
import { cdb, reserveOutList, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { ScsiStatus } from '../scsi-command.ts'

const RESERVE = [0x16, 0, 0, 0, 0, 0]
const RELEASE = [0x17, 0, 0, 0, 0, 0]
const REGISTER = cdb.reserveOut(0x00)
const { good, reservationConflict } = ScsiStatus

async function reserved() {
  const device = await ScsiDevice.serve()
  const holder = device.initiator()
  const other = device.initiator()
  expect((await holder.run(RESERVE)).status).toBe(good)
  return { device, holder, other }
}

test('RESERVE: the holder works on, everybody else meets a conflict until it releases', async () => {
  const { holder, other } = await reserved()
  const commands = [
    cdb.testUnitReady(),
    cdb.read10(0, 1),
    cdb.modeSense6(0x08),
    cdb.synchronizeCache10(),
    RESERVE,
  ]
  for (const command of commands) {
    expect((await other.run(command)).status).toBe(reservationConflict)
    expect((await holder.run(command)).status).toBe(good)
  }
  expect((await holder.run(RELEASE)).status).toBe(good)
  for (const command of commands) expect((await other.run(command)).status).toBe(good)
})

test('RESERVE: what only asks about the unit, RELEASE and starting stay allowed to others', async () => {
  const { holder, other } = await reserved()
  const start = [0x1b, 0, 0, 0, 1, 0]
  for (const command of [cdb.inquiry(), cdb.requestSense(), cdb.reportLuns(), RELEASE, start]) {
    expect((await other.run(command)).status).toBe(good)
  }
  const readCapacity = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  expect((await other.run(readCapacity)).status).toBe(good)
  expect((await other.run(RESERVE)).status).toBe(reservationConflict)
  expect((await holder.run(RESERVE)).status).toBe(good)
})

test('RESERVE: NBD clients of the volume meet it too, the daemon itself does not', async () => {
  const { device } = await reserved()
  const nbd = device.volume.open({ protocol: 'nbd', name: 'other' })
  expect(nbd.readNow(0, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.reservationConflict)
  const internal = device.volume.open({ protocol: 'internal' })
  expect(internal.readNow(0, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.ok)
})

test('RESERVE: the loss of its nexus and every reset end it', async () => {
  for (const end of ['leave', 'logicalUnitReset', 'targetWarmReset', 'targetColdReset'] as const) {
    const { holder, other } = await reserved()
    if (end === 'leave') await holder.leave()
    else {
      await holder.manage(end)
      await other.run(cdb.testUnitReady())
    }
    expect((await other.run(RESERVE)).status).toBe(good)
  }
})

test('RESERVE: a holder that lost it to what came by another logical unit hears of a reset, nobody else does', async () => {
  const { device, holder, other } = await reserved()
  device.volume.reservations.endUnitReservation()
  expect((await other.run(RESERVE)).status).toBe(good)
  expect((await holder.run(cdb.testUnitReady())).code).toEqual([0x6, 0x29, 0x03])
  expect((await holder.run(RESERVE)).status).toBe(reservationConflict)
})

test('RESERVE: while it stands, persistent reservations conflict for everybody', async () => {
  const { holder, other } = await reserved()
  const dataOut = reserveOutList(0n, 1n)
  for (const initiator of [holder, other]) {
    expect((await initiator.run(REGISTER, { dataOut })).status).toBe(reservationConflict)
    expect((await initiator.run(cdb.reserveIn(0))).status).toBe(reservationConflict)
  }
})

test('RESERVE and RELEASE: while there is a registration, they conflict for everybody', async () => {
  const device = await ScsiDevice.serve()
  const registered = device.initiator()
  await registered.run(REGISTER, { dataOut: reserveOutList(0n, 1n) })
  for (const initiator of [registered, device.initiator()]) {
    expect((await initiator.run(RESERVE)).status).toBe(reservationConflict)
    expect((await initiator.run(RELEASE)).status).toBe(reservationConflict)
  }
  await registered.run(REGISTER, { dataOut: reserveOutList(1n, 0n) })
  expect((await registered.run(RESERVE)).status).toBe(good)
})

test('RESERVE: third-party and extent reservations are refused', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  for (const bits of [0x10, 0x01]) {
    expect((await initiator.run([0x16, bits, 0, 0, 0, 0])).code).toEqual([0x5, 0x24, 0x00])
  }
})
