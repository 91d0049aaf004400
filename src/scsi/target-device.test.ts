import { expect, test } from 'vitest'
import { MemoryVolume } from '../../test/lib/memory-volume.ts'
import { ScsiInitiator } from '../../test/lib/scsi-initiator.ts'
import { TargetDevice } from './target-device.ts'

const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }

async function served(volume = new MemoryVolume()) {
  const target = new TargetDevice({ name: 'iqn.2026-11.io.holdfast:test', identity })
  await target.setUnits(new Map([[0, { volume, readOnly: false }]]))
  return { volume, target, initiator: new ScsiInitiator(target) }
}

const read10 = (lba: number, blocks: number) => [
  0x28,
  0,
  0,
  0,
  lba >> 8,
  lba & 0xff,
  0,
  blocks >> 8,
  blocks & 0xff,
  0,
]
const write10 = (lba: number, blocks: number) => [0x2a, ...read10(lba, blocks).slice(1)]

test('write: what is written reads back, in place and after waiting', async () => {
  for (const delayMs of [null, 1]) {
    const { initiator, volume } = await served()
    volume.delayMs = delayMs
    const data = Buffer.from(Array.from({ length: 1024 }, (_, at) => at & 0xff))
    expect(await initiator.run(write10(7, 2), { dataOut: data })).toMatchObject({ status: 0 })
    const answer = await initiator.run(read10(7, 2))
    expect(answer.status).toBe(0)
    expect(answer.data.equals(data)).toBe(true)
  }
})

test('read: a range past the end is refused before anything is read', async () => {
  const { initiator, volume } = await served(new MemoryVolume({ sizeBytes: 512 * 100 }))
  expect((await initiator.run(read10(99, 2))).code).toEqual([5, 0x21, 0])
  expect((await initiator.run(read10(99, 1))).status).toBe(0)
  expect(volume.kindsApplied.length).toBe(1)
})

test('report luns and inquiry answer for a LUN that has no unit, all else is refused', async () => {
  const { initiator } = await served()
  const luns = await initiator.run([0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], { lun: 5 })
  expect(luns.data.length).toBe(16)
  const inquiry = await initiator.run([0x12, 0, 0, 0, 255, 0], { lun: 5 })
  expect(inquiry.data[0]).toBe(0x7f)
  expect((await initiator.run([0, 0, 0, 0, 0, 0], { lun: 5 })).code).toEqual([5, 0x25, 0])
})
