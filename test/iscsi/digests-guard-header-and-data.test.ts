import { describe, expect, test } from 'vitest'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { decodeReject } from '../../src/iscsi-target/wire/reject.ts'
import { write16 } from '../lib/initiator/cdb.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { IscsiPortal, TARGET_NAME } from '../lib/iscsi-portal.ts'

const BLOCK = 512
const DATA_DIGEST_ERROR = 2

function pattern(lengthBytes: number): Buffer {
  return Buffer.from(Array.from({ length: lengthBytes }, (_, i) => (i * 7 + (i >> 9)) & 0xff))
}

async function session(portal: IscsiPortal, keys: Record<string, string>): Promise<Initiator> {
  return Initiator.open(portal.port, { targetName: TARGET_NAME, keys })
}

describe.each([
  ['None', 'None'],
  ['CRC32C', 'None'],
  ['None', 'CRC32C'],
  ['CRC32C', 'CRC32C'],
])('header digest %s, data digest %s', (HeaderDigest, DataDigest) => {
  test.each([
    ['immediate data alone', 4096, {}],
    ['immediate and unsolicited data', 256 * 1024, { MaxRecvDataSegmentLength: '8192' }],
    ['unsolicited data alone', 128 * 1024, { ImmediateData: 'No' }],
    ['data that is asked for', 300 * 1024, { ImmediateData: 'No', InitialR2T: 'Yes' }],
    ['all three', 1500 * 1024, { FirstBurstLength: '65536', MaxBurstLength: '262144' }],
  ])('what is written as %s is read back', async (_, lengthBytes, keys) => {
    await using portal = await IscsiPortal.open()
    await using initiator = await session(portal, { ...keys, HeaderDigest, DataDigest })
    const data = pattern(lengthBytes)
    await initiator.write(16, data)
    expect(portal.disk.memory.subarray(16 * BLOCK, 16 * BLOCK + lengthBytes).equals(data)).toBe(true)
    expect((await initiator.read(16, lengthBytes / BLOCK)).equals(data)).toBe(true)
    expect((await initiator.inquiry()).toString('latin1', 8, 16)).toBe('HOLDFAST')
    expect(await initiator.ping(Buffer.from('odd'))).toEqual(Buffer.from('odd'))
    expect(await initiator.logout()).toBe(0)
  })
})

test.each(['None', 'CRC32C'])(
  'header digest %s: a reject holds the header that it refuses',
  async HeaderDigest => {
    await using portal = await IscsiPortal.open()
    await using initiator = await session(portal, { HeaderDigest })
    const snack = Buffer.alloc(48, 0x5a)
    snack[0] = Opcode.snackRequest | 0x40
    snack.fill(0, 4, 8)
    initiator.channel.send(snack)
    const reject = await initiator.next(Opcode.reject, 'a reject')
    expect(reject.data).toEqual(snack)
  },
)

test('data digest: a wrong one is rejected, and the data never reaches the disk', async () => {
  await using portal = await IscsiPortal.open()
  await using initiator = await session(portal, {
    DataDigest: 'CRC32C',
    InitialR2T: 'Yes',
    ImmediateData: 'No',
  })
  const write = initiator.start({ cdb: write16(0, 8), write: pattern(4096), breakDataDigest: true })
  const reject = await initiator.next(Opcode.reject, 'a reject')
  expect(decodeReject(reject.header, 0).reason).toBe(DATA_DIGEST_ERROR)
  expect(reject.data[0] & 0x3f).toBe(Opcode.dataOut)
  const outcome = await Promise.race([
    write.result.then(
      result => result.status,
      () => 'closed',
    ),
    'open',
  ])
  expect(outcome).not.toBe(0)
  expect(portal.disk.writes).toBe(0)
})

test('data digest: a wrong one does not keep a command from its answer that was refused before', async () => {
  await using portal = await IscsiPortal.open()
  await using initiator = await session(portal, {
    DataDigest: 'CRC32C',
    InitialR2T: 'No',
    ImmediateData: 'No',
  })
  const write = initiator.start({ cdb: write16(0x7fffffff, 8), write: pattern(4096), breakDataDigest: true })
  const reject = await initiator.next(Opcode.reject, 'a reject')
  expect(decodeReject(reject.header, 0).reason).toBe(DATA_DIGEST_ERROR)
  expect(await write.result).toMatchObject({ status: 2, senseCode: [0xb, 0x47, 0x05] })
  expect([...portal.target.liveSessions()][0]!.slots.used).toBe(0)
})

test('header digest: a wrong one closes the connection, other sessions go on', async () => {
  await using portal = await IscsiPortal.open()
  await using other = await Initiator.open(portal.port, { targetName: TARGET_NAME, isid: '00023d4f0002' })
  await using initiator = await session(portal, { HeaderDigest: 'CRC32C' })
  const ping = Buffer.alloc(48)
  ping[0] = 0x40
  initiator.channel.send(ping, { breakHeaderDigest: true })
  await initiator.channel.closed
  expect(await other.read(0, 1)).toHaveLength(BLOCK)
})
