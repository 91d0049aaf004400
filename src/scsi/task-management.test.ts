import { describe, expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../test/lib/scsi-device.ts'
import type { ScsiInitiator } from '../../test/lib/scsi-initiator.ts'
import { ScsiStatus, TaskAttribute } from './scsi-command.ts'
import { CommandPhase } from './scsi-target.ts'

const cleared = [0x6, 0x2f, 0x00]
const block = (fill: number) => Buffer.alloc(512, fill)

/** Two initiators of a store that takes its time. */
async function slow() {
  const device = await ScsiDevice.serve()
  device.volume.delayMs = 40
  return { volume: device.volume, one: device.initiator(), two: device.initiator() }
}

/** Sets the control mode page. */
async function select(by: ScsiInitiator, { tas = true, descriptorSense = false }): Promise<void> {
  const page = [0x0a, 10, descriptorSense ? 0x04 : 0, 0x10, 0, tas ? 0x40 : 0, 0, 0, 0, 0, 0, 0]
  const list = Buffer.from([0, 0, 0, 0, ...page])
  expect((await by.run(cdb.modeSelect6(list.length), { dataOut: list })).status).toBe(ScsiStatus.good)
}

const settle = () => new Promise(resolve => setTimeout(resolve, 80))

describe('ABORT TASK', () => {
  test('a write under way never reaches the volume and never answers', async () => {
    const { volume, one } = await slow()
    const write = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
    write.execute()
    expect(await one.manage('abortTask', write.command)).toBe('functionComplete')
    expect(await write.answer).toBeNull()
    await settle()
    expect(volume.bytes[0]).toBe(0)
  })

  test('a command whose data is still being collected ends, and its late data does nothing', async () => {
    const { volume, one } = await slow()
    const write = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
    expect(write.phase).toBe(CommandPhase.needsData)
    expect(await one.manage('abortTask', write.command)).toBe('functionComplete')
    expect(await write.answer).toBeNull()
    write.execute()
    await settle()
    expect(volume.bytes[0]).toBe(0)
  })

  test('a read that is being fetched is taken back', async () => {
    const { one } = await slow()
    const read = one.begin(cdb.read10(0, 1))
    read.execute()
    expect(await one.manage('abortTask', read.command)).toBe('functionComplete')
    expect(await read.answer).toBeNull()
  })

  test('what cannot be taken back any more ends first, without an answer', async () => {
    const { volume, one } = await slow()
    volume.takesBack = false
    const write = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
    write.execute()
    await one.manage('abortTask', write.command)
    expect(volume.bytes[0]).toBe(1)
    expect(await write.answer).toBeNull()
  })

  test('a command of several operations stops between two of them', async () => {
    const { volume, one } = await slow()
    const writeSame = one.begin(cdb.writeSame16(0, 1024), { dataOut: block(1) })
    writeSame.execute()
    await new Promise(resolve => setTimeout(resolve, 60))
    await one.manage('abortTask', writeSame.command)
    await settle()
    expect(volume.bytes[0]).toBe(1)
    expect(volume.bytes[1023 * 512]).toBe(0)
  })

  test('one that has ended, or was never there, does not exist', async () => {
    const { one } = await slow()
    const done = one.begin(cdb.testUnitReady())
    done.execute()
    expect(await one.manage('abortTask', done.command)).toBe('taskDoesNotExist')
    expect(await one.manage('abortTask', null)).toBe('taskDoesNotExist')
    expect(await one.manage('abortTask', null, 9)).toBe('lunDoesNotExist')
  })
})

test('ABORT TASK SET: takes back all of one nexus and nothing of another', async () => {
  const { volume, one, two } = await slow()
  const mine = [0, 1, 2].map(lba => one.begin(cdb.write10(lba, 1), { dataOut: block(1) }))
  const other = two.begin(cdb.write10(10, 1), { dataOut: block(2) })
  for (const command of [...mine, other]) command.execute()
  expect(await one.manage('abortTaskSet')).toBe('functionComplete')
  for (const command of mine) expect(await command.answer).toBeNull()
  expect((await other.answer)?.status).toBe(ScsiStatus.good)
  expect([volume.bytes[0], volume.bytes[512], volume.bytes[10 * 512]]).toEqual([0, 0, 2])
  expect((await two.run(cdb.testUnitReady())).status).toBe(ScsiStatus.good)
})

for (const tas of [true, false]) {
  const how = tas ? 'the status of each' : 'unit attention where TAS is off'
  test(`CLEAR TASK SET: takes back everybody’s commands, and tells the others by ${how}`, async () => {
    const { volume, one, two } = await slow()
    await select(one, { tas })
    await two.run(cdb.requestSense())
    const mine = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
    const other = two.begin(cdb.write10(10, 1), { dataOut: block(2) })
    mine.execute()
    // One that its data is still being collected for, and one that is fetched.
    const collecting = two.begin(cdb.write10(11, 1), { dataOut: block(2) })
    const read = two.begin(cdb.read10(20, 1))
    other.execute()
    read.execute()
    expect(await one.manage('clearTaskSet')).toBe('functionComplete')
    expect(await mine.answer).toBeNull()
    for (const command of [other, collecting, read]) {
      const answer = await command.answer
      if (tas) expect(answer).toMatchObject({ status: ScsiStatus.taskAborted, code: null })
      else expect(answer).toBeNull()
    }
    await settle()
    expect(volume.bytes[10 * 512]).toBe(0)
    expect((await one.run(cdb.testUnitReady())).status).toBe(ScsiStatus.good)
    expect((await two.run(cdb.testUnitReady())).code).toEqual(tas ? null : cleared)
  })
}

test('resets: everything is taken back, mode pages are as at first, and every nexus is told which', async () => {
  for (const [fn, code] of [
    ['logicalUnitReset', [0x6, 0x29, 0x03]],
    ['targetWarmReset', [0x6, 0x29, 0x02]],
    ['targetColdReset', [0x6, 0x29, 0x01]],
  ] as const) {
    const { volume, one, two } = await slow()
    const write = two.begin(cdb.write10(0, 1), { dataOut: block(1) })
    write.execute()
    const mine = one.begin(cdb.write10(1, 1), { dataOut: block(1) })
    mine.execute()
    await select(one, { descriptorSense: true })
    expect(await one.manage(fn)).toBe('functionComplete')
    expect(await mine.answer).toBeNull()
    expect((await write.answer)?.status).toBe(ScsiStatus.taskAborted)
    await settle()
    expect(volume.bytes[0]).toBe(0)
    for (const initiator of [one, two]) {
      expect((await initiator.run(cdb.testUnitReady())).code).toEqual(code)
    }
    expect((await one.run(cdb.modeSense6(0x0a, 0, 0x08))).data[6]).toBe(0)
  }
})

test('CLEAR ACA is not supported, and NACA is refused in every CDB', async () => {
  const { one } = await slow()
  expect(await one.manage('clearAca')).toBe('functionNotSupported')
  expect((await one.run([0, 0, 0, 0, 0, 0x04])).code).toEqual([0x5, 0x24, 0x00])
  const answer = await one.run(cdb.testUnitReady(), { attribute: TaskAttribute.aca })
  expect(answer.code).toEqual([0xb, 0x49, 0x00])
})

test('detach: takes back what the nexus still has, then says so', async () => {
  const { volume, one, two } = await slow()
  const write = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
  const other = two.begin(cdb.write10(10, 1), { dataOut: block(2) })
  write.execute()
  other.execute()
  await one.leave()
  expect(await write.answer).toBeNull()
  expect((await other.answer)?.status).toBe(ScsiStatus.good)
  expect(volume.bytes[0]).toBe(0)
})

describe('task attributes', () => {
  test('ORDERED waits for all older commands, and what is newer waits for it', async () => {
    const { volume, one } = await slow()
    const order: string[] = []
    const begin = (name: string, lba: number, attribute: TaskAttribute) => {
      const command = one.begin(cdb.write10(lba, 1), { dataOut: block(lba + 1), attribute })
      command.execute()
      return command.answer.then(() => order.push(name))
    }
    const answers = [begin('older', 0, TaskAttribute.simple), begin('ordered', 1, TaskAttribute.ordered)]
    volume.delayMs = null
    answers.push(begin('newer', 2, TaskAttribute.simple))
    expect(volume.bytes[2 * 512]).toBe(0)
    answers.push(begin('head', 3, TaskAttribute.headOfQueue))
    expect(volume.bytes[3 * 512]).toBe(4)
    await Promise.all(answers)
    expect(order).toEqual(['head', 'older', 'ordered', 'newer'])
    expect([0, 1, 2].map(lba => volume.bytes[lba * 512])).toEqual([1, 2, 3])
  })

  test('a command that waits for its turn can be aborted, and the next one gets its turn', async () => {
    const { volume, one } = await slow()
    const older = one.begin(cdb.write10(0, 1), { dataOut: block(1) })
    const ordered = one.begin(cdb.write10(1, 1), { dataOut: block(2), attribute: TaskAttribute.ordered })
    const newer = one.begin(cdb.write10(2, 1), { dataOut: block(3) })
    for (const command of [older, ordered, newer]) command.execute()
    expect(await one.manage('abortTask', ordered.command)).toBe('functionComplete')
    expect(await ordered.answer).toBeNull()
    expect((await newer.answer)?.status).toBe(ScsiStatus.good)
    expect((await older.answer)?.status).toBe(ScsiStatus.good)
    expect([0, 1, 2].map(lba => volume.bytes[lba * 512])).toEqual([1, 0, 3])
  })
})
