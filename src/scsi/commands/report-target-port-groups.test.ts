import { expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { AccessState } from '../target-port-groups.ts'

const TPGS = 0x30
const IMPLICIT = 0x10

function reportGroups(format = 0): number[] {
  return [0xa3, (format << 5) | 0x0a, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]
}

test('one gateway is one target port group, active/optimized, and INQUIRY says that there are such', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  expect((await initiator.run(cdb.inquiry())).data[5]! & TPGS).toBe(IMPLICIT)
  const { data } = await initiator.run(reportGroups())
  expect([...data]).toEqual([0, 0, 0, 12, 0x00, 0x03, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1])
})

test('several gateways are told as they stand, the owner optimized and the others not', async () => {
  let owner = 2
  const groupsOf = () =>
    [1, 2, 7].map(id => ({
      id,
      state: id === owner ? AccessState.activeOptimized : AccessState.activeNonOptimized,
    }))
  const device = await ScsiDevice.serve({}, { portGroups: { groupsOf } })
  const initiator = device.initiator()
  const states = async () => {
    const { data } = await initiator.run(reportGroups())
    return [4, 16, 28].map(at => [data.readUInt16BE(at + 2), data[at]])
  }
  expect(await states()).toEqual([
    [1, 1],
    [2, 0],
    [7, 1],
  ])
  owner = 7
  device.volume.tell('accessStates')
  expect((await initiator.run(cdb.testUnitReady())).code).toEqual([0x6, 0x2a, 0x06])
  expect(await states()).toEqual([
    [1, 1],
    [2, 1],
    [7, 0],
  ])
})

test('the extended header adds how long a takeover may last; other formats are refused', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  const { data } = await initiator.run(reportGroups(1))
  expect([data.readUInt32BE(0), data[4], data.length]).toEqual([16, 0x10, 20])
  expect(data[5]).toBeGreaterThan(0)
  expect((await initiator.run(reportGroups(2))).code).toEqual([0x5, 0x24, 0x00])
})
