import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { BlockKind } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import { HoldfastError } from '../../src/errors/holdfast-error.ts'
import { CommandFlag, NbdCommand, NbdError, ReplyType } from '../../src/nbd/wire/constants.ts'
import { NbdClient, type Request, type Style } from '../lib/nbd-client/nbd-client.ts'
import { serveMemory } from './serve-memory.ts'

const MIB = 2 ** 20
const { READ, WRITE, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS, RESIZE } = NbdCommand
const STYLES: readonly Style[] = ['simple', 'structured', 'extended']

describe.each(STYLES)('%s replies', style => {
  test('read and write: any length gives back what was written, in place and delayed', async () => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    for (const delayMs of [null, 0]) {
      served.volume.delayMs = delayMs
      for (const length of [512, 4096, 65536, 65536 + 512, 3 * MIB]) {
        const data = randomBytes(length)
        expect(await client.writeAt(1024, data)).toBe(0)
        expect((await client.readAt(1024, length)).equals(data)).toBe(true)
      }
    }
  })

  test('resize: the range that was added is there at once, for who may', async () => {
    await using served = await serveMemory()
    served.exports.makeResizable('disk')
    using client = await NbdClient.open(served.port, style)
    expect((await client.request({ command: RESIZE, offset: 17 * MIB })).error).toBe(0)
    const data = randomBytes(4096)
    expect(await client.writeAt(17 * MIB - 4096, data)).toBe(0)
    expect((await client.readAt(17 * MIB - 4096, 4096)).equals(data)).toBe(true)
  })

  test('read: what is zero comes back as zero around data', async () => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    const data = randomBytes(65536)
    await client.writeAt(MIB, data)
    const read = await client.readAt(0, 3 * MIB)
    expect(read.equals(Buffer.concat([Buffer.alloc(MIB), data, Buffer.alloc(2 * MIB - 65536)]))).toBe(true)
  })

  test.each([
    ['a read past the end', { command: READ, offset: 16 * MIB, length: 512 }, NbdError.EINVAL],
    [
      'a write past the end',
      { command: WRITE, offset: 16 * MIB, payload: Buffer.alloc(512) },
      NbdError.ENOSPC,
    ],
    ['zeroes past the end', { command: WRITE_ZEROES, offset: 15 * MIB, length: 2 * MIB }, NbdError.ENOSPC],
    ['a trim past the end', { command: TRIM, offset: 15 * MIB, length: 2 * MIB }, NbdError.EINVAL],
    ['an offset near 2^64', { command: READ, offset: 2n ** 64n - 512n, length: 1024 }, NbdError.EINVAL],
    ['an unaligned offset', { command: READ, offset: 1, length: 512 }, NbdError.EINVAL],
    ['an unaligned length', { command: WRITE, payload: Buffer.alloc(513) }, NbdError.EINVAL],
    ['a read of nothing', { command: READ, length: 0 }, NbdError.EINVAL],
    ['an unknown command', { command: 77 }, NbdError.EINVAL],
    ['an unknown flag', { command: READ, length: 512, flags: 1 << 9 }, NbdError.EINVAL],
    [
      'a flag of another command',
      { command: TRIM, length: 512, flags: CommandFlag.NO_HOLE },
      NbdError.EINVAL,
    ],
    ['a flush with a range', { command: FLUSH, length: 512 }, NbdError.EINVAL],
    ['fast zeroes that are not holes', fastZero(0, MIB, CommandFlag.NO_HOLE), NbdError.ENOTSUP],
    ['fast zeroes of part of a block', fastZero(512, 512), NbdError.ENOTSUP],
  ] as readonly [string, Request, number][])(
    '%s: refused, and the connection goes on',
    async (_, request, error) => {
      await using served = await serveMemory()
      using client = await NbdClient.open(served.port, style)
      const reply = await client.request(request)
      expect(reply.error).toBe(error)
      if (style === 'extended') expect(reply.offset).toBe(BigInt(request.offset ?? 0))
      expect((await client.readAt(0, 512)).length).toBe(512)
    },
  )

  test('trim, zeroes, flush, cache: reach the volume as such, with and without FUA', async () => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    await client.writeAt(0, Buffer.alloc(MIB, 7))
    served.volume.kindsApplied.length = 0
    const { trim, zero, flush, read, write } = BlockKind
    const cases: readonly [Request, BlockKind][] = [
      [{ command: TRIM, length: 4096, flags: CommandFlag.FUA }, trim],
      [{ command: WRITE_ZEROES, offset: 4096, length: 4096 }, trim],
      [{ command: WRITE_ZEROES, offset: 8192, length: 4096, flags: CommandFlag.NO_HOLE }, zero],
      [fastZero(12288, 4096), trim],
      [{ command: FLUSH }, flush],
      [{ command: CACHE, length: 4096 }, read],
      [{ command: WRITE, offset: 16384, payload: Buffer.alloc(4096, 9), flags: CommandFlag.FUA }, write],
    ]
    for (const [request] of cases) expect((await client.request(request)).error).toBe(0)
    expect(served.volume.kindsApplied).toEqual(cases.map(([, kind]) => kind))
    const read16k = await client.readAt(0, 16384)
    expect(read16k.every(byte => byte === 0)).toBe(true)
  })

  test('read-only export: writing is refused, reading goes on', async () => {
    await using served = await serveMemory({ readOnly: true })
    using client = await NbdClient.open(served.port, style)
    expect(await client.writeAt(0, Buffer.alloc(512))).toBe(NbdError.EPERM)
    expect((await client.request({ command: TRIM, length: 512 })).error).toBe(NbdError.EPERM)
    expect((await client.request({ command: WRITE_ZEROES, length: 512 })).error).toBe(NbdError.EPERM)
    expect((await client.request({ command: FLUSH })).error).toBe(0)
    expect((await client.readAt(0, 512)).length).toBe(512)
  })

  test('volume grown elsewhere: requests in the new range are valid at once', async () => {
    await using served = await serveMemory({ sizeBytes: MIB })
    using client = await NbdClient.open(served.port, style)
    expect(await client.writeAt(MIB, Buffer.alloc(512, 1))).toBe(NbdError.ENOSPC)
    served.volume.resize(2 * MIB)
    expect(await client.writeAt(MIB, Buffer.alloc(512, 1))).toBe(0)
    expect((await client.readAt(MIB, 512))[0]).toBe(1)
  })

  test('failures underneath: have the errno of the error table, and the connection goes on', async () => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    const cases: readonly [BlockStatus, number][] = [
      [BlockStatus.mediumError, NbdError.EIO],
      [BlockStatus.noSpace, NbdError.ENOSPC],
      [BlockStatus.ioError, NbdError.EIO],
      [BlockStatus.reservationConflict, NbdError.EPERM],
      [BlockStatus.unavailable, NbdError.ESHUTDOWN],
    ]
    for (const delayMs of [null, 0]) {
      served.volume.delayMs = delayMs
      for (const [status, error] of cases) {
        served.volume.fault = () => ({ status })
        expect((await client.request({ command: READ, length: 4096 })).error).toBe(error)
        expect((await client.request({ command: READ, length: 2 * MIB })).error).toBe(error)
        expect(await client.writeAt(0, Buffer.alloc(4096))).toBe(error)
      }
    }
    served.volume.fault = null
    expect(await client.writeAt(0, Buffer.alloc(4096))).toBe(0)
  })

  test('requests sent all at once: each is answered once, under its own cookie', async () => {
    await using served = await serveMemory()
    served.volume.bytes.fill(3)
    using client = await NbdClient.open(served.port, style)
    served.volume.delayMs = 0
    const sent = new Set<bigint>()
    for (let i = 0; i < 400; i++) {
      const cookie = BigInt(i) * 2n ** 40n
      sent.add(client.sendRequest({ command: READ, offset: i * 512, length: 512, cookie }))
    }
    for (let i = 0; i < 400; i++) {
      const reply = await client.reply(512)
      expect(reply.error).toBe(0)
      expect(sent.delete(reply.cookie)).toBe(true)
    }
  })

  test('disconnect: what came before it is answered, then the connection ends', async () => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    served.volume.delayMs = 5
    client.sendRequest({ command: WRITE, payload: Buffer.alloc(4096, 5) })
    client.sendRequest({ command: NbdCommand.DISC })
    expect((await client.reply()).error).toBe(0)
    await client.closed
    expect(served.volume.bytes[0]).toBe(5)
    expect(served.server.faults.get('disconnectedByClient')).toBe(1)
  })
})

test.each(['structured', 'extended'] as const)(
  '%s: a read of zeroes is sent as a hole, unless DF',
  async style => {
    await using served = await serveMemory()
    using client = await NbdClient.open(served.port, style)
    const sparse = await client.request({ command: READ, length: MIB })
    expect(sparse.chunks.map(chunk => chunk.type)).toEqual([ReplyType.OFFSET_HOLE])
    await client.writeAt(256 * 1024, Buffer.alloc(512, 1))
    const mixed = await client.request({ command: READ, length: MIB })
    const { OFFSET_HOLE, OFFSET_DATA } = ReplyType
    expect(mixed.chunks.map(chunk => chunk.type)).toEqual([OFFSET_HOLE, OFFSET_DATA, OFFSET_HOLE])
    const whole = await client.request({ command: READ, length: MIB, flags: CommandFlag.DF })
    expect(whole.chunks.map(chunk => [chunk.type, chunk.payload.length])).toEqual([[OFFSET_DATA, MIB + 8]])
  },
)

test.each(['structured', 'extended'] as const)('%s: a bad block is named by its offset', async style => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port, style)
  served.volume.fault = () => ({ status: BlockStatus.mediumError, failedAtBytes: 8192 })
  const { chunks } = await client.request({ command: READ, length: 65536 })
  expect(chunks.map(chunk => chunk.type)).toEqual([ReplyType.ERROR_OFFSET])
  const { payload } = chunks[0]!
  const messageBytes = payload.readUInt16BE(4)
  expect(payload.subarray(6, 6 + messageBytes).toString()).toContain('checksum')
  expect(payload.readBigUInt64BE(6 + messageBytes)).toBe(8192n)
})

test.each([TRIM, WRITE_ZEROES])(
  'FUA on command %i in several pieces: each of them is durable',
  async command => {
    const sizeBytes = 257 * MIB
    await using served = await serveMemory({ sizeBytes })
    using client = await NbdClient.open(served.port, 'extended')
    const pieces: (readonly [number, boolean])[] = []
    served.volume.fault = (_kind, _offset, lengthBytes) => {
      pieces.push([lengthBytes, served.volume.lastOperation!.fua])
      return null
    }
    const request = { command, length: sizeBytes, flags: CommandFlag.FUA }
    expect((await client.request(request)).error).toBe(0)
    expect(pieces).toEqual([
      [256 * MIB, true],
      [MIB, true],
    ])
  },
)

test('block status: structured replies carry 32-bit runs, REQ_ONE the first of them', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port)
  await client.writeAt(MIB, Buffer.alloc(8192, 1))
  const { chunks } = await client.request({ command: BLOCK_STATUS, length: 4 * MIB })
  expect(chunks.map(chunk => chunk.type)).toEqual([ReplyType.BLOCK_STATUS])
  expect(words(chunks[0]!.payload)).toEqual([1, MIB, 3, 8192, 0, 3 * MIB - 8192, 3])
  const request = { command: BLOCK_STATUS, offset: MIB + 512, length: 4096, flags: CommandFlag.REQ_ONE }
  expect(words((await client.request(request)).chunks[0]!.payload)).toEqual([1, 4096, 0])
})

test('block status: the tail of a volume that ends inside of a block of 4096 bytes', async () => {
  await using served = await serveMemory({ sizeBytes: MIB + 512 })
  using client = await NbdClient.open(served.port)
  for (const [offset, length] of [
    [0, MIB + 512],
    [MIB, 512],
  ] as const) {
    const { chunks } = await client.request({ command: BLOCK_STATUS, offset, length })
    expect(words(chunks[0]!.payload)).toEqual([1, length, 3])
  }
})

test('block status: extended headers carry 64-bit runs, and a payload that filters contexts', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port, 'extended')
  await client.writeAt(MIB, Buffer.alloc(8192, 1))
  const { chunks } = await client.request({ command: BLOCK_STATUS, length: 2 * MIB })
  expect(chunks.map(chunk => chunk.type)).toEqual([ReplyType.BLOCK_STATUS_EXT])
  expect(words(chunks[0]!.payload)).toEqual([1, 3, 0, MIB, 0, 3, 0, 8192, 0, 0, 0, MIB - 8192, 0, 3])
  const filtered = await client.request({ command: BLOCK_STATUS, payload: filter(MIB, [1]) })
  expect(words(filtered.chunks[0]!.payload)).toEqual([1, 1, 0, MIB, 0, 3])
  for (const payload of [
    filter(MIB, [2]),
    filter(MIB, [1, 1]),
    filter(MIB, []),
    filter(17 * MIB, [1]),
    Buffer.alloc(9000),
  ]) {
    expect((await client.request({ command: BLOCK_STATUS, payload })).error).toBe(NbdError.EINVAL)
  }
  expect((await client.readAt(0, 512)).length).toBe(512)
})

test('extended headers: a write that does not announce its payload is refused', async () => {
  await using served = await serveMemory()
  using client = await NbdClient.open(served.port, 'extended')
  expect((await client.request({ command: WRITE, length: 512 })).error).toBe(NbdError.EINVAL)
  expect((await client.request({ command: TRIM, payload: Buffer.alloc(512) })).error).toBe(NbdError.EINVAL)
  expect((await client.request({ command: READ, length: 2 ** 33 })).error).toBe(NbdError.EOVERFLOW)
  expect((await client.readAt(0, 512)).length).toBe(512)
})

test('resize: refused for who may not, on a read-only volume, and with the reason of the server', async () => {
  await using served = await serveMemory()
  const resize = async () => {
    using client = await NbdClient.open(served.port)
    return (await client.request({ command: RESIZE, offset: 32 * MIB })).error
  }
  expect(await resize()).toBe(NbdError.EPERM)
  for (const [code, error] of [
    ['ERR_BLOCK_NO_SPACE', NbdError.ENOSPC],
    ['ERR_VOLUME_SHRINK', NbdError.EPERM],
    ['ERR_SIZE_INVALID', NbdError.EINVAL],
    ['ERR_METADATA_UNAVAILABLE', NbdError.EIO],
  ] as const) {
    served.exports.makeResizable('disk', () => new HoldfastError(code))
    expect([code, await resize()]).toEqual([code, error])
  }
  served.exports.makeResizable('disk')
  served.volume.setReadOnly(true)
  expect(await resize()).toBe(NbdError.EPERM)
  expect(served.volume.sizeBytes).toBe(16 * MIB)
})

test('several connections: a write through one is read through the other', async () => {
  await using served = await serveMemory()
  using one = await NbdClient.open(served.port)
  using two = await NbdClient.open(served.port, 'extended')
  const data = randomBytes(4096)
  await one.writeAt(4096, data)
  expect((await two.readAt(4096, 4096)).equals(data)).toBe(true)
})

function fastZero(offset: number, length: number, flags = 0): Request {
  return { command: WRITE_ZEROES, offset, length, flags: flags | CommandFlag.FAST_ZERO }
}

function words(payload: Buffer): number[] {
  return Array.from({ length: payload.length / 4 }, (_, i) => payload.readUInt32BE(4 * i))
}

function filter(lengthBytes: number, ids: readonly number[]): Buffer {
  const payload = Buffer.alloc(8 + 4 * ids.length)
  payload.writeBigUInt64BE(BigInt(lengthBytes))
  ids.forEach((id, i) => {
    payload.writeUInt32BE(id, 8 + 4 * i)
  })
  return payload
}
