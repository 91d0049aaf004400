import fc from 'fast-check'
import { expect, test } from 'vitest'
import { read16, write16 } from '../lib/initiator/cdb.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { IscsiPortal, TARGET_NAME } from '../lib/iscsi-portal.ts'

const BLOCK = 512
const DISK_BLOCKS = 16 * 1024
const RUNS = 15

const length = fc.constantFrom('512', '1000', '4096', '8192', '65536', '262144', '16777215')
const yesNo = fc.constantFrom('Yes', 'No')
const digest = fc.constantFrom('None', 'CRC32C', 'CRC32C,None')
const agreement = fc.record({
  HeaderDigest: digest,
  DataDigest: digest,
  InitialR2T: yesNo,
  ImmediateData: yesNo,
  MaxRecvDataSegmentLength: length,
  MaxBurstLength: length,
  FirstBurstLength: length,
  MaxOutstandingR2T: fc.constantFrom('1', '3', '16'),
})
const write = fc.record({
  lba: fc.nat({ max: DISK_BLOCKS - 1 }),
  blocks: fc.integer({ min: 1, max: 700 }),
  fill: fc.nat({ max: 255 }),
})

function contents({ lba, blocks, fill }: { lba: number; blocks: number; fill: number }): Buffer {
  return Buffer.from(
    Array.from({ length: Math.min(blocks, DISK_BLOCKS - lba) * BLOCK }, (_, i) => fill + (i >> 2)),
  )
}

test('data: whatever both sides agree on, what is written in any pieces is on the disk and read back', async () => {
  await using portal = await IscsiPortal.open({ parameters: { maxRecvDataSegmentLength: 32768 } })
  await fc.assert(
    fc.asyncProperty(agreement, fc.array(write, { minLength: 1, maxLength: 6 }), async (keys, writes) => {
      await using initiator = await Initiator.open(portal.port, { targetName: TARGET_NAME, keys })
      const model = Buffer.from(portal.disk.memory)
      for (const one of writes) {
        const data = contents(one)
        data.copy(model, one.lba * BLOCK)
        await initiator.write(one.lba, data)
        expect((await initiator.read(one.lba, data.length / BLOCK)).equals(data)).toBe(true)
      }
      expect(portal.disk.memory.equals(model)).toBe(true)
      expect(await initiator.logout()).toBe(0)
    }),
    { numRuns: RUNS },
  )
})

test('data: commands sent all at once, without waiting, each get their own data and answer', async () => {
  await using portal = await IscsiPortal.open()
  const keys = { MaxRecvDataSegmentLength: '8192', FirstBurstLength: '4096', DataDigest: 'CRC32C' }
  await using initiator = await Initiator.open(portal.port, { targetName: TARGET_NAME, keys })
  const chunks = Array.from({ length: 60 }, (_, i) => contents({ lba: 0, blocks: 1 + (i % 40), fill: i }))
  const writes = chunks.map((data, i) =>
    initiator.command({ cdb: write16(i * 64, data.length / BLOCK), write: data }),
  )
  const reads = chunks.map((data, i) =>
    initiator.command({ cdb: read16(8192 + i, data.length / BLOCK), read: data.length }),
  )
  const statuses = (await Promise.all([...writes, ...reads])).map(({ status }) => status)
  expect(statuses).toEqual(statuses.map(() => 0))
  for (const [i, data] of chunks.entries()) {
    const at = i * 64 * BLOCK
    expect(portal.disk.memory.subarray(at, at + data.length).equals(data)).toBe(true)
  }
  expect((await reads[7]).data.equals(Buffer.alloc(chunks[7].length))).toBe(true)
})
