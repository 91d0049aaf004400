import { expect, test } from 'vitest'
import { OPTION_BYTES_MAX, OPTIONS_MAX } from '../../src/nbd/limits.ts'
import {
  BASE_ALLOCATION,
  NbdInfo,
  NbdOption,
  OptionReply,
  TransmissionFlag,
} from '../../src/nbd/wire/constants.ts'
import { encodeInfoRequest, encodeMetaContextQuery, encodeOption } from '../../src/nbd/wire/options.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { serveMemory } from './serve-memory.ts'

const types = (answers: readonly { type: number }[]) => answers.map(answer => answer.type)

test('list: names and descriptions of what this connection may open, and of nothing else', async () => {
  await using served = await serveMemory()
  served.exports.add({ name: 'hidden', clients: ['alice'] })
  using client = await NbdClient.connect(served.port)
  const answers = await client.option(NbdOption.LIST)
  expect(types(answers)).toEqual([OptionReply.SERVER, OptionReply.ACK])
  expect(answers[0]!.data.readUInt32BE(0)).toBe(4)
  expect(answers[0]!.data.subarray(4).toString()).toBe('diskabout disk')
})

test('unknown option: refused, and the handshake goes on', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.connect(served.port)
  expect(types(await client.option(0x4141, Buffer.alloc(100)))).toEqual([OptionReply.ERR_UNSUP])
  expect((await client.go('disk')).at(-1)!.type).toBe(OptionReply.ACK)
  expect((await client.readAt(0, 512)).length).toBe(512)
})

test('unknown and hidden exports: the same refusal, and the handshake goes on', async () => {
  await using served = await serveMemory()
  served.exports.add({ name: 'hidden', clients: ['alice'] })
  using client = await NbdClient.connect(served.port)
  const missing = await client.go('nothing')
  const hidden = await client.go('hidden')
  expect(types(missing)).toEqual([OptionReply.ERR_UNKNOWN])
  expect(hidden).toEqual(missing)
  expect((await client.info('disk')).at(-1)!.type).toBe(OptionReply.ACK)
})

test('info: gives every item that is asked for', async () => {
  await using served = await serveMemory({ sizeBytes: 2 ** 20, blockSizeBytes: 4096 })
  using client = await NbdClient.connect(served.port)
  const wanted = [NbdInfo.NAME, NbdInfo.DESCRIPTION, NbdInfo.BLOCK_SIZE, 99]
  const infos = (await client.info('', wanted)).slice(0, -1).map(answer => answer.data)
  const byType = new Map(infos.map(data => [data.readUInt16BE(0), data.subarray(2)]))
  expect(byType.get(NbdInfo.EXPORT)!.readBigUInt64BE(0)).toBe(2n ** 20n)
  expect(byType.get(NbdInfo.NAME)!.toString()).toBe('disk')
  expect(byType.get(NbdInfo.DESCRIPTION)!.toString()).toBe('about disk')
  const sizes = byType.get(NbdInfo.BLOCK_SIZE)!
  expect([0, 4, 8].map(at => sizes.readUInt32BE(at))).toEqual([4096, 4096, 2 ** 25])
  expect(byType.size).toBe(4)
})

test('transmission flags: resizing is offered to who may, and not where nothing may be written', async () => {
  await using served = await serveMemory()
  const offered = async () => {
    using client = await NbdClient.connect(served.port)
    const flags = (await client.info('disk'))[0]!.data.readUInt16BE(10)
    return (flags & TransmissionFlag.SEND_RESIZE) !== 0
  }
  expect(await offered()).toBe(false)
  served.exports.makeResizable('disk')
  expect(await offered()).toBe(true)
  served.volume.setReadOnly(true)
  expect(await offered()).toBe(false)
})

test('transmission flags: a read-only export says so and offers nothing that writes', async () => {
  await using served = await serveMemory({ readOnly: true })
  using client = await NbdClient.connect(served.port)
  const flags = (await client.info('disk'))[0]!.data.readUInt16BE(10)
  expect(flags & TransmissionFlag.READ_ONLY).not.toBe(0)
  const writing =
    TransmissionFlag.SEND_TRIM | TransmissionFlag.SEND_WRITE_ZEROES | TransmissionFlag.SEND_FAST_ZERO
  expect(flags & writing).toBe(0)
  expect(flags & TransmissionFlag.SEND_DF).toBe(0)
})

test('EXPORT_NAME: 10 bytes, or 134 for a client that wants the zeroes; an unknown name ends the session', async () => {
  await using served = await serveMemory({ sizeBytes: 2 ** 20 })
  using brief = await NbdClient.connect(served.port)
  brief.send(encodeOption(NbdOption.EXPORT_NAME, Buffer.from('disk')))
  expect((await brief.read(10)).readBigUInt64BE(0)).toBe(2n ** 20n)
  expect((await brief.readAt(0, 512)).length).toBe(512)
  using padded = await NbdClient.connect(served.port, 0)
  padded.send(encodeOption(NbdOption.EXPORT_NAME, Buffer.from('disk')))
  expect((await padded.read(134)).subarray(10).every(byte => byte === 0)).toBe(true)
  expect((await padded.readAt(0, 512)).length).toBe(512)
  using wrong = await NbdClient.connect(served.port)
  wrong.send(encodeOption(NbdOption.EXPORT_NAME, Buffer.from('nothing')))
  await wrong.closed
  expect(served.server.faults.get('unknownExport')).toBe(1)
})

test('metadata contexts: base:allocation is listed, selected once, and forgotten with the next selection', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.connect(served.port)
  const query = (option: number, ...queries: string[]) =>
    client.option(option, encodeMetaContextQuery('disk', queries))
  expect(types(await query(NbdOption.SET_META_CONTEXT, BASE_ALLOCATION))).toEqual([OptionReply.ERR_INVALID])
  await client.option(NbdOption.STRUCTURED_REPLY)
  const one = [OptionReply.META_CONTEXT, OptionReply.ACK]
  expect(types(await query(NbdOption.LIST_META_CONTEXT))).toEqual(one)
  expect(types(await query(NbdOption.LIST_META_CONTEXT, 'base:'))).toEqual(one)
  expect(types(await query(NbdOption.LIST_META_CONTEXT, 'qemu:'))).toEqual([OptionReply.ACK])
  expect(types(await query(NbdOption.SET_META_CONTEXT, 'x-y:z', BASE_ALLOCATION))).toEqual(one)
  expect(types(await query(NbdOption.SET_META_CONTEXT, 'base:'))).toEqual([OptionReply.ACK])
  await client.go('disk')
  expect((await client.request({ command: 7, length: 512 })).error).toBe(22)
})

test('malformed option data: refused as invalid, and the handshake goes on', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.connect(served.port)
  const lies = encodeInfoRequest('disk', [])
  lies.writeUInt32BE(0xffff_ffff, 0)
  const counts = encodeMetaContextQuery('disk', [])
  counts.writeUInt32BE(0xffff_ffff, counts.length - 4)
  for (const data of [
    lies,
    Buffer.alloc(0),
    Buffer.alloc(3),
    encodeInfoRequest('a\0b', []),
    Buffer.alloc(900, 255),
  ]) {
    expect(types(await client.option(NbdOption.GO, data))).toEqual([OptionReply.ERR_INVALID])
  }
  await client.option(NbdOption.STRUCTURED_REPLY)
  expect(types(await client.option(NbdOption.SET_META_CONTEXT, counts))).toEqual([OptionReply.ERR_INVALID])
  expect(types(await client.option(NbdOption.LIST, Buffer.alloc(1)))).toEqual([OptionReply.ERR_INVALID])
  expect((await client.info('disk')).at(-1)!.type).toBe(OptionReply.ACK)
})

test('ABORT: acknowledged, then closed', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.connect(served.port)
  expect(types(await client.option(NbdOption.ABORT))).toEqual([OptionReply.ACK])
  await client.closed
})

test('extended headers: take precedence over structured replies, and forbid EXPORT_NAME', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.connect(served.port)
  await client.option(NbdOption.EXTENDED_HEADERS)
  expect(types(await client.option(NbdOption.STRUCTURED_REPLY))).toEqual([OptionReply.ERR_EXT_HEADER_REQD])
  client.send(encodeOption(NbdOption.EXPORT_NAME, Buffer.from('disk')))
  await client.closed
  expect(served.server.faults.get('exportNameRefused')).toBe(1)
})

test.each([
  ['unknown client flags', 'unknownClientFlags', async (port: number) => NbdClient.connect(port, 0xff)],
  [
    'a wrong option magic',
    'badOptionMagic',
    async (port: number) => {
      const client = await NbdClient.connect(port)
      client.send(Buffer.alloc(16, 1))
      return client
    },
  ],
  [
    'an option longer than any',
    'optionTooLong',
    async (port: number) => {
      const client = await NbdClient.connect(port)
      const option = encodeOption(NbdOption.GO, Buffer.alloc(0))
      option.writeUInt32BE(OPTION_BYTES_MAX + 1, 12)
      client.send(option)
      return client
    },
  ],
  [
    'options without end',
    'tooManyOptions',
    async (port: number) => {
      const client = await NbdClient.connect(port)
      for (let i = 0; i <= OPTIONS_MAX; i++) client.send(encodeOption(NbdOption.LIST, Buffer.alloc(0)))
      return client
    },
  ],
  [
    'options without fixed newstyle',
    'optionWithoutFixedNewstyle',
    async (port: number) => {
      const client = await NbdClient.connect(port, 0)
      client.send(encodeOption(NbdOption.LIST, Buffer.alloc(0)))
      return client
    },
  ],
])('%s: the connection is closed and counted', async (_, reason, misbehave) => {
  await using served = await serveMemory()
  using client = await misbehave(served.port)
  await client.closed
  expect(served.server.faults.get(reason)).toBe(1)
})

test('slow handshake: closed when its time is up', async () => {
  await using served = await serveMemory({}, { limits: { handshakeTimeoutMs: 1 } })
  using client = await NbdClient.connect(served.port)
  await client.closed
  expect(served.server.faults.get('handshakeTimeout')).toBe(1)
})

test('volume that is not served at the moment: refused, worth another try', async () => {
  await using served = await serveMemory()
  served.exports.unavailable = true
  using client = await NbdClient.connect(served.port)
  expect(types(await client.go('disk'))).toEqual([OptionReply.ERR_SHUTDOWN])
})
