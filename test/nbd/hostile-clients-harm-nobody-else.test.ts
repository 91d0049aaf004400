import { expect, test } from 'vitest'
import { BlockKind } from '../../src/block/block-operation.ts'
import { NbdCommand, NbdError } from '../../src/nbd/wire/constants.ts'
import { encodeRequest } from '../../src/nbd/wire/request.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { serveMemory } from './serve-memory.ts'

const MIB = 2 ** 20
const { READ, WRITE } = NbdCommand

test.each(['simple', 'extended'] as const)(
  'thousands of reads that nobody takes (%s): bounded, then forgotten',
  async style => {
    await using served = await serveMemory({}, { limits: { bytesInFlightMax: MIB } })
    served.volume.bytes.fill(1)
    using bystander = await NbdClient.open(served.port)
    const greedy = await NbdClient.open(served.port, style)
    greedy.socket.pause()
    for (let i = 0; i < 4000; i++) greedy.sendRequest({ command: READ, length: 65536 })
    for (let i = 0; i < 50; i++) expect((await bystander.readAt(0, 4096)).length).toBe(4096)
    const reads = served.server.sessions().map(session => session.stats.reads)
    // What the kernel's socket buffers hold is taken; the rest waits unread.
    expect(Math.max(...reads)).toBeLessThan(1000)
    greedy.socket.destroy()
    await expect.poll(() => served.server.sessions().length).toBe(1)
    expect((await bystander.readAt(0, 4096)).length).toBe(4096)
  },
)

test('client that goes away with writes under way: they end, and the volume is let go of', async () => {
  await using served = await serveMemory()
  served.volume.delayMs = 300
  served.volume.takesBack = false
  const client = await NbdClient.open(served.port)
  for (let i = 0; i < 64; i++)
    client.sendRequest({ command: WRITE, offset: i * 4096, payload: Buffer.alloc(4096, 9) })
  await expect.poll(() => served.server.sessions()[0]?.stats.inFlight).toBe(64)
  client.socket.destroy()
  await expect.poll(() => served.server.sessions().length).toBe(0)
  await served.server.stop()
  expect(served.volume.kindsApplied).toEqual(new Array(64).fill(BlockKind.write))
})

test.each([
  ['wrong magic', 'badRequestMagic', Buffer.alloc(28, 0x25)],
  [
    'a payload longer than any',
    'payloadTooLong',
    encodeRequest({ command: WRITE, cookie: 1n, offset: 0n, length: 0xffff_ffffn }, false),
  ],
])('%s: the connection is closed and counted, others go on', async (_, reason, bytes) => {
  await using served = await serveMemory()
  using bystander = await NbdClient.open(served.port)
  using client = await NbdClient.open(served.port)
  client.send(bytes)
  await client.closed
  expect(served.server.faults.get(reason)).toBe(1)
  expect((await bystander.readAt(0, 512)).length).toBe(512)
})

test('refused write with a payload: the payload is skipped, however it arrives', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port)
  expect(await client.writeAt(16 * MIB, Buffer.alloc(4 * MIB))).toBe(NbdError.ENOSPC)
  const header = encodeRequest({ command: WRITE, cookie: 5n, offset: 1n, length: 1024n }, false)
  for (const byte of Buffer.concat([header, Buffer.alloc(1024)])) client.send(Buffer.from([byte]))
  expect((await client.reply()).error).toBe(NbdError.EINVAL)
  expect(await client.writeAt(0, Buffer.alloc(4096, 1))).toBe(0)
})

test('client that takes no output: closed when its time is up', async () => {
  await using served = await serveMemory({}, { limits: { outputStallMs: 1 } })
  served.volume.bytes.fill(1)
  const client = await NbdClient.open(served.port)
  client.socket.pause()
  for (let i = 0; i < 1000; i++) client.sendRequest({ command: READ, length: 65536 })
  await expect.poll(() => served.server.faults.get('outputNotTaken'), { timeout: 5000 }).toBe(1)
  client.socket.destroy()
})

test.each([null, 0])(
  'limits below one request (delay %s): everything sent at once is still answered',
  async delayMs => {
    const limits = { bytesInFlightMax: 1, requestsPerConnectionMax: 1 }
    await using served = await serveMemory({}, { limits })
    served.volume.bytes.fill(1)
    served.volume.delayMs = delayMs
    using client = await NbdClient.open(served.port, 'simple')
    for (let i = 0; i < 100; i++) client.sendRequest({ command: READ, offset: i * 4096, length: 4096 })
    client.sendRequest({ command: WRITE, payload: Buffer.alloc(MIB, 2) })
    for (let i = 0; i < 100; i++) expect((await client.reply(4096)).error).toBe(0)
    expect((await client.reply()).error).toBe(0)
    expect((await client.readAt(MIB - 512, 512))[0]).toBe(2)
  },
)

test('one connection too many: closed at once', async () => {
  await using served = await serveMemory({}, { limits: { connectionsMax: 1 } })
  using first = await NbdClient.open(served.port)
  using second = await NbdClient.dial(served.port)
  await second.closed
  expect((await first.readAt(0, 512)).length).toBe(512)
})

test('kick: the session ends, other sessions stay', async () => {
  await using served = await serveMemory()
  using first = await NbdClient.open(served.port)
  using second = await NbdClient.open(served.port)
  const [session] = served.server.sessions()
  expect(await served.server.kick({ id: session!.id })).toBe(1)
  await first.closed
  expect((await second.readAt(0, 512)).length).toBe(512)
})

test('stop: what is in flight ends, what comes then is told that the server is shutting down', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port)
  served.volume.delayMs = 400
  client.sendRequest({ command: WRITE, payload: Buffer.alloc(4096, 4) })
  await expect.poll(() => served.server.sessions()[0]?.stats.inFlight).toBe(1)
  const stopped = served.server.stop()
  client.sendRequest({ command: READ, length: 512 })
  expect((await client.reply()).error).toBe(NbdError.ESHUTDOWN)
  expect((await client.reply()).error).toBe(0)
  await stopped
  await client.closed
})

test('received by events: the same as into buffers of our own', async () => {
  await using served = await serveMemory({}, { receiveByEvents: true })
  using client = await NbdClient.open(served.port)
  const data = Buffer.alloc(3 * MIB, 6)
  expect(await client.writeAt(512, data)).toBe(0)
  expect((await client.readAt(512, data.length)).equals(data)).toBe(true)
})
