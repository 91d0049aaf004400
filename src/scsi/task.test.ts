import { expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../test/lib/scsi-device.ts'
import { BlockStatus } from '../block/block-status.ts'
import { DataInResult, ScsiCommand, type ScsiTransport, TaskAttribute } from './scsi-command.ts'
import { TaskState } from './task.ts'

/** A transport that leaves streamed data-in to the test. */
async function streaming() {
  const device = await ScsiDevice.serve()
  const { nexus } = device.initiator()
  const ended: ScsiCommand[] = []
  const waits: number[] = []
  const transport: ScsiTransport = {
    commandDone: command => ended.push(command),
    retainDataOut: () => {},
    awaitsDisk: ({ cdb }) => waits.push(cdb[0]!),
  }
  const command = new ScsiCommand(transport)
  command.nexus = nexus
  const begin = (bytes: readonly number[], attribute: TaskAttribute = TaskAttribute.simple) => {
    command.cdb.fill(0)
    command.cdb.set(bytes)
    command.attribute = attribute
    command.expectedInLength = 65536
    device.target.begin(command)
    device.target.execute(command)
  }
  return { device, nexus, ended, waits, command, begin }
}

const into = Buffer.alloc(8192)

test('a read is in the task set until its last byte is taken', async () => {
  const { device, command, begin } = await streaming()
  const { stats } = device.target.unit(0)!
  begin(cdb.read10(0, 4))
  const source = command.dataInSource!
  expect(source.readDataIn(command, 0, 1024, into, 0)).toBe(DataInResult.ok)
  expect(stats.inFlight).toBe(1)
  expect(source.readDataIn(command, 1024, 1024, into, 0)).toBe(DataInResult.ok)
  expect([stats.inFlight, stats.reads, stats.readBytes]).toEqual([0, 1, 2048])
})

test('a read whose data is never taken can be aborted, and yields no data afterwards', async () => {
  const { device, nexus, ended, command, begin } = await streaming()
  begin(cdb.read10(0, 4))
  const response = await new Promise(resolve =>
    device.target.manageTasks('logicalUnitReset', nexus, 0, null, resolve),
  )
  expect(response).toBe('functionComplete')
  expect(command.aborted).toBe(true)
  expect(command.dataInSource!.readDataIn(command, 0, 512, into, 0)).toBe(DataInResult.failed)
  expect(ended.length).toBe(1)
})

test('a read whose data is dropped makes way for an ORDERED command', async () => {
  const { device, command, begin } = await streaming()
  begin(cdb.read10(0, 4))
  const initiator = device.initiator()
  const ordered = initiator.begin(cdb.testUnitReady(), { attribute: TaskAttribute.ordered })
  ordered.execute()
  let isAnswered = false
  const answered = ordered.answer.then(() => {
    isAnswered = true
  })
  await new Promise(resolve => setImmediate(resolve))
  expect(isAnswered).toBe(false)
  command.dataInSource!.dropDataIn(command)
  await answered
  command.dataInSource!.dropDataIn(command)
  expect(device.target.unit(0)!.stats.inFlight).toBe(0)
})

test.each(['taken to its end', 'found to be unreadable'])(
  'a read that is %s makes way for an ORDERED command, and that for others',
  async how => {
    const { device, command, begin } = await streaming()
    begin(cdb.read10(0, 4))
    const initiator = device.initiator()
    const ordered = initiator.begin(cdb.testUnitReady(), { attribute: TaskAttribute.ordered })
    ordered.execute()
    const simple = initiator.begin(cdb.read10(0, 4))
    simple.execute()
    const isTaken = how === 'taken to its end'
    if (!isTaken) device.volume.fault = () => ({ status: BlockStatus.mediumError })
    const result = command.dataInSource!.readDataIn(command, 0, 2048, into, 0)
    expect(result).toBe(isTaken ? DataInResult.ok : DataInResult.failed)
    // The transport is in the midst of a PDU.
    expect(ordered.command.task).toMatchObject({ state: TaskState.held })
    expect(await ordered.answer).toMatchObject({ status: 0 })
    await simple.answer
    expect(device.target.unit(0)!.stats.inFlight).toBe(0)
  },
)

test('a command slot serves one command after the other', async () => {
  const { device, ended, command, begin } = await streaming()
  begin(cdb.read10(0, 1, 0xe0))
  expect(command.senseLength).toBeGreaterThan(0)
  begin(cdb.inquiry())
  expect([command.status, command.senseLength, command.dataIn?.length]).toEqual([0, 0, 96])
  begin(cdb.read10(0, 1))
  expect([command.dataIn, command.dataInLength]).toEqual([null, 512])
  expect(command.dataInSource!.readDataIn(command, 0, 512, into, 0)).toBe(DataInResult.ok)
  expect(ended.length).toBe(3)
  expect(device.target.unit(0)!.stats.inFlight).toBe(0)
})

test('a transport hears which commands wait for a disk: a flush and a write with FUA, and no other', async () => {
  const { ended, waits, command, begin } = await streaming()
  command.expectedOutLength = 512
  command.dataOut = Buffer.alloc(512)
  command.dataOutReceived = 512
  const forceUnitAccess = 0x08
  const commands = [
    cdb.testUnitReady(),
    cdb.write10(0, 1),
    cdb.write10(0, 1, forceUnitAccess),
    cdb.synchronizeCache10(),
  ]
  for (const [index, bytes] of commands.entries()) {
    begin(bytes)
    await expect.poll(() => ended.length).toBe(index + 1)
  }
  expect(waits).toEqual([0x2a, 0x35])
})
