import { describe, expect, test } from 'vitest'
import { MemoryVolume } from '../../test/lib/memory-volume.ts'
import { cdb, ScsiDevice } from '../../test/lib/scsi-device.ts'
import { ScsiInitiator } from '../../test/lib/scsi-initiator.ts'
import { ScsiStatus } from './scsi-command.ts'
import { Attention, AttentionQueue } from './unit-attention.ts'

const tur = async (initiator: ScsiInitiator, lun = 0) =>
  (await initiator.run(cdb.testUnitReady(), { lun })).code

describe('the queue', () => {
  test('each condition is pending once, in the order in which they arose', () => {
    const queue = new AttentionQueue()
    queue.establish(Attention.modeParametersChanged)
    queue.establish(Attention.capacityDataHasChanged)
    queue.establish(Attention.modeParametersChanged)
    expect(queue.take()).toBe(Attention.modeParametersChanged)
    expect(queue.take()).toBe(Attention.capacityDataHasChanged)
    expect(queue.take()).toBeNull()
  })

  test('a reset comes first, and takes the place of another reset', () => {
    const queue = new AttentionQueue()
    queue.establish(Attention.modeParametersChanged)
    queue.establish(Attention.powerOn)
    queue.establish(Attention.busDeviceReset)
    expect(queue.take()).toBe(Attention.busDeviceReset)
    expect(queue.take()).toBe(Attention.modeParametersChanged)
    expect(queue.isEmpty).toBe(true)
  })
})

test('a new session, and one that comes again, is told nothing unless nexus loss is reported', async () => {
  const quiet = await ScsiDevice.serve()
  const initiator = quiet.initiator()
  expect(await tur(initiator)).toBeNull()
  await initiator.leave()
  expect(await tur(quiet.initiator())).toBeNull()
  const strict = await ScsiDevice.serve({}, { reportNexusLoss: true })
  expect(await tur(strict.initiator())).toEqual([0x6, 0x29, 0x00])
})

test('after a restart the first session of each initiator port hears of it, for a while', async () => {
  let nowMs = 0
  const device = await ScsiDevice.serve({}, { restartToldUntilMs: 100, clock: () => nowMs })
  const [one, two] = [device.initiator(), device.initiator()]
  expect([await tur(one), await tur(two)]).toEqual([
    [0x6, 0x29, 0x00],
    [0x6, 0x29, 0x00],
  ])
  await one.leave()
  expect(await tur(new ScsiInitiator(device.target, one.nexus.isid))).toBeNull()
  nowMs = 100
  expect(await tur(device.initiator())).toBeNull()
})

test('a unit attention is told once, to each nexus for itself, and holds the command up', async () => {
  const device = await ScsiDevice.serve()
  const [one, two] = [device.initiator(), device.initiator()]
  device.volume.resize(32 * 2 ** 20)
  const write = await one.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512, 1) })
  expect(write.code).toEqual([0x6, 0x2a, 0x09])
  expect(device.volume.bytes[0]).toBe(0)
  expect(await tur(one)).toBeNull()
  expect(await tur(two)).toEqual([0x6, 0x2a, 0x09])
})

test('INQUIRY and REPORT LUNS pass a unit attention by, REQUEST SENSE takes it', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  device.volume.resize(32 * 2 ** 20)
  expect((await initiator.run(cdb.inquiry())).status).toBe(ScsiStatus.good)
  expect((await initiator.run(cdb.reportLuns())).status).toBe(ScsiStatus.good)
  const fixed = await initiator.run(cdb.requestSense())
  expect(fixed.status).toBe(ScsiStatus.good)
  expect([fixed.data[0], fixed.data[2], fixed.data[12], fixed.data[13]]).toEqual([0x70, 0x6, 0x2a, 0x09])
  const none = await initiator.run(cdb.requestSense(1))
  expect([...none.data.subarray(0, 4)]).toEqual([0x72, 0, 0, 0])
  expect(await tur(initiator)).toBeNull()
})

test('MODE SELECT tells the others and not the one that did it', async () => {
  const device = await ScsiDevice.serve()
  const [one, two] = [device.initiator(), device.initiator()]
  const list = Buffer.from([0, 0, 0, 0, 0x0a, 10, 0x04, 0x10, 0, 0, 0, 0, 0, 0, 0, 0])
  await one.run(cdb.modeSelect6(list.length), { dataOut: list })
  expect(await tur(one)).toBeNull()
  expect(await tur(two)).toEqual([0x6, 0x2a, 0x01])
  await one.run(cdb.modeSelect6(list.length), { dataOut: list })
  expect(await tur(two)).toBeNull()
})

test('write protection of the volume or its LUN tells everybody', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  device.volume.setReadOnly(true)
  expect(await tur(initiator)).toEqual([0x6, 0x2a, 0x01])
  await device.target.setUnits(new Map([[0, { volume: device.volume, readOnly: true }]]))
  expect(await tur(initiator)).toEqual([0x6, 0x2a, 0x01])
})

describe('LUN changes', () => {
  test.each([1, 2])(
    'every nexus is told at each of its units, until it asks LUN %i for the LUNs',
    async asked => {
      const device = await ScsiDevice.serve()
      const initiator = device.initiator()
      const both = new Map([
        [0, { volume: device.volume, readOnly: false }],
        [1, { volume: new MemoryVolume(), readOnly: false }],
      ])
      await device.target.setUnits(both)
      expect(await tur(initiator, 1)).toEqual([0x6, 0x3f, 0x0e])
      expect((await initiator.run(cdb.reportLuns(), { lun: asked })).status).toBe(ScsiStatus.good)
      expect(await tur(initiator, 0)).toBeNull()
    },
  )

  test('a LUN that is taken away loses its commands, which are told so, and then does not exist', async () => {
    const device = await ScsiDevice.serve()
    const initiator = device.initiator()
    device.volume.delayMs = 30
    const write = initiator.begin(cdb.write10(0, 1), { dataOut: Buffer.alloc(512, 1) })
    write.execute()
    await device.target.setUnits(new Map())
    expect((await write.answer)?.status).toBe(ScsiStatus.taskAborted)
    expect(device.volume.bytes[0]).toBe(0)
    expect(await tur(initiator)).toEqual([0x5, 0x25, 0x00])
  })

  test('a LUN that gets another volume serves that one', async () => {
    const device = await ScsiDevice.serve()
    const initiator = device.initiator()
    const other = new MemoryVolume()
    other.bytes.fill(0x42)
    await device.target.setUnits(new Map([[0, { volume: other, readOnly: false }]]))
    expect(await tur(initiator)).toEqual([0x6, 0x3f, 0x0e])
    expect((await initiator.run(cdb.read10(0, 1))).data[0]).toBe(0x42)
  })

  test('the same map again changes nothing', async () => {
    const device = await ScsiDevice.serve()
    const initiator = device.initiator()
    await device.target.setUnits(new Map([[0, { volume: device.volume, readOnly: false }]]))
    expect(await tur(initiator)).toBeNull()
  })
})
