import { expect, test } from 'vitest'
import { BHS_BYTES } from '../../src/iscsi-target/wire/bhs.ts'
import { read16, write16 } from '../lib/initiator/cdb.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { IscsiPortal, TARGET_NAME } from '../lib/iscsi-portal.ts'

test.each([
  // A login may take 64 requests.
  [10, ''],
  [100, 'x'.repeat(240)],
])('continuation: a login cut into pieces of %i bytes is one login', async (splitBytes, padding) => {
  await using portal = await IscsiPortal.open()
  await using initiator = await Initiator.connect(portal.port)
  const keys = { 'X-com.example.padding': padding }
  const answer = await initiator.login({ targetName: TARGET_NAME, splitBytes, keys })
  expect(answer.status).toBe(0)
  expect(answer.keys.get('MaxBurstLength')).toBe('1048576')
  await initiator.write(0, Buffer.alloc(512, 3))
  expect(portal.disk.memory[0]).toBe(3)
})

test('parameters: each side keeps to what the other said', async () => {
  await using portal = await IscsiPortal.open({ parameters: { maxRecvDataSegmentLength: 4096 } })
  await using initiator = await Initiator.connect(portal.port)
  const keys = { MaxRecvDataSegmentLength: '1024', InitialR2T: 'Yes', MaxBurstLength: '16384' }
  const answer = await initiator.login({ targetName: TARGET_NAME, keys })
  expect(answer.keys.get('MaxRecvDataSegmentLength')).toBe('4096')
  const data = Buffer.alloc(64 * 1024, 0x5a)
  const written = await initiator.command({
    cdb: write16(0, 128),
    write: data,
  })
  expect(written.r2ts.map(({ bufferOffset, desiredLength }) => [bufferOffset, desiredLength])).toEqual([
    [4096, 16384],
    [20480, 16384],
    [36864, 16384],
    [53248, 12288],
  ])
  const read = await initiator.command({
    cdb: read16(0, 128),
    read: 65536,
  })
  expect([read.dataIns, read.data.equals(data)]).toEqual([64, true])
})

test('reinstatement: a second login of the same initiator takes the place of the first', async () => {
  await using portal = await IscsiPortal.open()
  await using first = await Initiator.open(portal.port, { targetName: TARGET_NAME })
  await using second = await Initiator.open(portal.port, { targetName: TARGET_NAME })
  await first.channel.closed
  expect(await second.read(0, 1)).toHaveLength(512)
  expect(portal.target.sessions()).toHaveLength(1)
})

test.each([
  ['a target that is not there', { targetName: 'iqn.2026-11.test:none' }, 0x0203],
  ['a TSIH of no session', { targetName: TARGET_NAME, tsih: 4711 }, 0x020a],
  ['a key sent by targets alone', { targetName: TARGET_NAME, keys: { TargetAlias: 'x' } }, 0x0200],
  [
    'more than 8 KiB of text',
    { targetName: TARGET_NAME, keys: { 'X-a': 'x'.repeat(8100) }, splitBytes: 8000 },
    0x0200,
  ],
])('refused: %s', async (_, options, status) => {
  await using portal = await IscsiPortal.open()
  await using initiator = await Initiator.connect(portal.port)
  expect((await initiator.login(options)).status).toBe(status)
  await initiator.channel.closed
})

test('refused: what cannot be proved absent is worth another try', async () => {
  await using portal = await IscsiPortal.open()
  portal.directory.metadataAnswers = false
  await using initiator = await Initiator.connect(portal.port)
  expect((await initiator.login({ targetName: 'iqn.2026-11.test:none' })).status).toBe(0x0301)
  await initiator.channel.closed
})

test('garbage: bytes that are no login close that connection and no other', async () => {
  await using portal = await IscsiPortal.open()
  await using good = await Initiator.open(portal.port, { targetName: TARGET_NAME })
  for (const start of ['00800000', '3f3f0000', '0181000000000000', '4387000000ffffff', '4080000000002004']) {
    await using bad = await Initiator.connect(portal.port)
    const header = Buffer.alloc(BHS_BYTES)
    header.write(start, 'hex')
    bad.channel.sendRaw(header)
    await bad.channel.closed
  }
  expect(await good.read(0, 1)).toHaveLength(512)
})

test('text: discovery lists targets, a normal session its own', async () => {
  await using portal = await IscsiPortal.open()
  const own = `TargetName=${TARGET_NAME}\0TargetAddress=127.0.0.1:${portal.port},1\0`
  await using discovery = await Initiator.open(portal.port, { targetName: null })
  expect(await discovery.text('SendTargets=All\0')).toBe(own)
  await using normal = await Initiator.open(portal.port, { targetName: TARGET_NAME })
  expect(await normal.text('SendTargets=\0')).toBe(own)
  expect(await normal.text('SendTargets=All\0X-a=1\0')).toBe('SendTargets=Reject\0X-a=NotUnderstood\0')
})

test('text: an answer longer than the initiator takes comes in pieces', async () => {
  await using portal = await IscsiPortal.open()
  await using initiator = await Initiator.open(portal.port, {
    targetName: null,
    keys: { MaxRecvDataSegmentLength: '512' },
  })
  const keys = Array.from({ length: 40 }, (_, i) => `X-key-${i}`)
  const answer = await initiator.text(keys.map(key => `${key}=1\0`).join(''))
  expect(answer).toBe(keys.map(key => `${key}=NotUnderstood\0`).join(''))
})
