import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryExtents } from '../../test/lib/memory-extents.ts'
import { MemoryStateStorage } from '../../test/lib/memory-state-storage.ts'
import type { BlockDevice } from '../block/block-device.ts'
import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { OwnedVolume } from './owned-volume.ts'
import type { Reservations } from './reservations.ts'
import { Sanitization } from './sanitize/sanitization.ts'
import { AMPLE_SPACE } from './volume-space.ts'

const SIZE = 64 * 1024
const everybody = { permits: () => true } as unknown as Reservations
const nobody = { permits: () => false } as unknown as Reservations
/** As under somebody else's WRITE EXCLUSIVE. */
const readers = { permits: (_: unknown, access: string) => access === 'read' } as unknown as Reservations
const client = { protocol: 'nbd', name: 'test' } as const

function volumeOn(extents: MemoryExtents, options: { reservations?: Reservations; readOnly?: boolean } = {}) {
  const description = {
    name: 'v',
    uuid: '00000000-0000-4000-8000-000000000000',
    naa: Buffer.alloc(16),
    blockSizeBytes: 512 as const,
    sizeBytes: SIZE,
    readOnly: options.readOnly ?? false,
    removable: false,
  }
  const sanitization = new Sanitization({
    storage: new MemoryStateStorage(),
    bytesPerSecond: Number.POSITIVE_INFINITY,
  })
  const reservations = options.reservations ?? everybody
  const volume = new OwnedVolume(description, extents, { reservations, sanitization, space: AMPLE_SPACE })
  sanitization.resume(client => volume.open(client))
  return volume
}

interface Wanted {
  kind: BlockKind
  offset: number
  length: number
  data?: Buffer
}

function start(device: BlockDevice, wanted: Wanted) {
  let ended = false
  let resolve!: (operation: BlockOperation) => void
  const done = new Promise<BlockOperation>(r => {
    resolve = r
  })
  const operation = new BlockOperation({
    blockDone: o => {
      ended = true
      resolve(o)
    },
  })
  operation.kind = wanted.kind
  operation.offsetBytes = wanted.offset
  operation.lengthBytes = wanted.length
  operation.data = wanted.data ?? Buffer.alloc(wanted.length)
  device.submit(operation)
  return { operation, done, hasEnded: () => ended }
}

const tick = () => new Promise(resolve => setImmediate(() => setImmediate(resolve)))

describe('owner of a volume', () => {
  test('overlapping writes are applied one after the other, in the order of their arrival', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const device = volumeOn(extents).open(client)
    const first = start(device, {
      kind: BlockKind.write,
      offset: 0,
      length: 8192,
      data: Buffer.alloc(8192, 1),
    })
    const second = start(device, {
      kind: BlockKind.write,
      offset: 4096,
      length: 4096,
      data: Buffer.alloc(4096, 2),
    })
    expect(extents.held).toHaveLength(1)
    extents.release()
    await first.done
    expect(extents.held).toHaveLength(1)
    extents.release()
    await second.done
    expect(extents.bytes[4096]).toBe(2)
  })

  test('a read that overlaps a write in flight waits for it, one beside it does not', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const device = volumeOn(extents).open(client)
    start(device, { kind: BlockKind.write, offset: 0, length: 4096 })
    const into = Buffer.alloc(4096)
    expect(device.readNow(0, 4096, into, 0)).toBe(BlockStatus.wouldBlock)
    expect(device.readNow(512, 512, into, 0)).toBe(BlockStatus.wouldBlock)
    expect(device.readNow(4096, 4096, into, 0)).toBe(BlockStatus.ok)
    extents.release()
    await tick()
    expect(device.readNow(0, 4096, into, 0)).toBe(BlockStatus.ok)
  })

  test('reads share a range', () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const device = volumeOn(extents).open(client)
    start(device, { kind: BlockKind.read, offset: 0, length: 4096 })
    start(device, { kind: BlockKind.read, offset: 0, length: 4096 })
    expect(extents.held).toHaveLength(2)
  })

  test('a write smaller than a block keeps its neighbours', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.bytes.fill(7)
    extents.neverInline = true
    const device = volumeOn(extents).open(client)
    await start(device, { kind: BlockKind.write, offset: 3584, length: 1024, data: Buffer.alloc(1024, 9) })
      .done
    expect(extents.bytes[3583]).toBe(7)
    expect(extents.bytes[3584]).toBe(9)
    expect(extents.bytes[4607]).toBe(9)
    expect(extents.bytes[4608]).toBe(7)
  })

  test('compare and write writes only when every byte matches, and names the first difference', async () => {
    const extents = new MemoryExtents(SIZE)
    const device = volumeOn(extents).open(client)
    const compared = Buffer.alloc(1024)
    compared.fill(5, 512)
    const same = start(device, { kind: BlockKind.compareAndWrite, offset: 512, length: 512, data: compared })
    expect((await same.done).status).toBe(BlockStatus.ok)
    expect(extents.bytes[512]).toBe(5)
    compared[300] = 1
    const other = start(device, {
      kind: BlockKind.compareAndWrite,
      offset: 1024,
      length: 512,
      data: compared,
    })
    expect((await other.done).status).toBe(BlockStatus.miscompare)
    expect(other.operation.failedAtBytes).toBe(1024 + 300)
    expect(extents.bytes[1024]).toBe(0)
  })

  test("or-write sets bits and clears none, in blocks smaller than the store's too", async () => {
    const extents = new MemoryExtents(SIZE)
    extents.bytes.fill(0b0101, 0, 8192)
    const device = volumeOn(extents).open(client)
    const data = Buffer.alloc(4096, 0b0011)
    const done = await start(device, { kind: BlockKind.orWrite, offset: 2048, length: 4096, data }).done
    expect(done.status).toBe(BlockStatus.ok)
    const changed = extents.bytes.subarray(2048, 6144)
    expect(changed.equals(Buffer.alloc(4096, 0b0111))).toBe(true)
    expect([extents.bytes[2047], extents.bytes[6144]]).toEqual([0b0101, 0b0101])
  })

  test('or-writes of the same blocks come one after the other: no bit is lost', async () => {
    const extents = new MemoryExtents(SIZE)
    const device = volumeOn(extents).open(client)
    const bits = [1, 2, 4, 8, 16, 32, 64, 128]
    await Promise.all(
      bits.map(bit => {
        const data = Buffer.alloc(1024, bit)
        return start(device, { kind: BlockKind.orWrite, offset: 3584, length: 1024, data }).done
      }),
    )
    expect(extents.bytes.subarray(3584, 4608).equals(Buffer.alloc(1024, 0xff))).toBe(true)
  })

  test('extents: what is being changed is no hole, nor what was until the look was over', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    extents.holes.push({ startBytes: 0, endBytes: SIZE })
    const device = volumeOn(extents).open(client)
    const trimmed = start(device, { kind: BlockKind.trim, offset: 8192, length: 4096 })
    const runs = async () =>
      (await device.extents(0, SIZE)).map(({ lengthBytes, mapped }) => [lengthBytes, mapped])
    const around = [
      [8192, false],
      [4096, true],
      [SIZE - 12288, false],
    ]
    expect(await runs()).toEqual(around)
    const looking = runs()
    extents.release()
    await trimmed.done
    expect(await looking).toEqual(around)
    expect(await runs()).toEqual([[SIZE, false]])
  })

  test('an operation taken back while it waits never reaches the extents', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const device = volumeOn(extents).open(client)
    start(device, { kind: BlockKind.write, offset: 0, length: 4096 })
    const waiting = start(device, {
      kind: BlockKind.write,
      offset: 0,
      length: 4096,
      data: Buffer.alloc(4096, 1),
    })
    device.abort(waiting.operation)
    expect((await waiting.done).status).toBe(BlockStatus.aborted)
    extents.release()
    await tick()
    expect(extents.held).toHaveLength(0)
    expect(extents.bytes[0]).toBe(0)
  })

  test('a read-modify-write taken back while it reads ends aborted and writes nothing', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const device = volumeOn(extents).open(client)
    const write = start(device, {
      kind: BlockKind.write,
      offset: 512,
      length: 512,
      data: Buffer.alloc(512, 1),
    })
    device.abort(write.operation)
    extents.release()
    expect((await write.done).status).toBe(BlockStatus.aborted)
    expect(extents.bytes[512]).toBe(0)
  })

  test('closing a handle waits for what is in flight, then refuses', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const handle = volumeOn(extents).open(client)
    const write = start(handle, { kind: BlockKind.write, offset: 0, length: 4096 })
    let closed = false
    const closing = handle.close().then(() => {
      closed = true
    })
    await tick()
    expect(closed).toBe(false)
    extents.release()
    await closing
    expect(write.hasEnded()).toBe(true)
    expect(handle.readNow(0, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.unavailable)
  })

  test('a reservation refuses before the range is touched, write protection refuses writes alone', async () => {
    const extents = new MemoryExtents(SIZE)
    const reserved = volumeOn(extents, { reservations: nobody }).open(client)
    const data = Buffer.alloc(4096, 1)
    expect(reserved.writeNow(0, 4096, data, 0)).toBe(BlockStatus.reservationConflict)
    const refused = start(reserved, { kind: BlockKind.trim, offset: 0, length: 4096 })
    expect(refused.hasEnded()).toBe(false)
    expect((await refused.done).status).toBe(BlockStatus.reservationConflict)
    const readOnly = volumeOn(extents, { readOnly: true }).open(client)
    expect(readOnly.writeNow(0, 4096, data, 0)).toBe(BlockStatus.writeProtected)
    expect(readOnly.readNow(0, 4096, data, 0)).toBe(BlockStatus.ok)
    expect(extents.log).toEqual([])
  })

  test('who may read may flush: a READ with FUA needs one', async () => {
    for (const [reservations, status] of [
      [readers, BlockStatus.ok],
      [nobody, BlockStatus.reservationConflict],
    ] as const) {
      const handle = volumeOn(new MemoryExtents(SIZE), { reservations }).open(client)
      expect(handle.readNow(0, 4096, Buffer.alloc(4096), 0)).toBe(status)
      const flush = start(handle, { kind: BlockKind.flush, offset: 0, length: 0 })
      expect((await flush.done).status).toBe(status)
      expect(handle.writeNow(0, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.reservationConflict)
    }
  })

  test('an operation past the end is refused, and allowed once the volume has grown', () => {
    const extents = new MemoryExtents(2 * SIZE)
    const volume = volumeOn(extents)
    const device = volume.open(client)
    const changes: string[] = []
    volume.onChange(change => changes.push(change))
    expect(device.readNow(SIZE, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.outOfRange)
    volume.grow(2 * SIZE)
    expect(device.readNow(SIZE, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.ok)
    expect(changes).toEqual(['resized'])
  })

  test('a bad block fails only what touches it, and is named', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.badBlocks.add(8192)
    const device = volumeOn(extents).open(client)
    expect(device.readNow(8192 + 512, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.mediumError)
    expect(device.failedAtBytes).toBe(8192)
    expect(device.readNow(4096, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.ok)
    const read = start(device, { kind: BlockKind.read, offset: 0, length: 16384 })
    expect((await read.done).status).toBe(BlockStatus.mediumError)
    expect(read.operation.failedAtBytes).toBe(8192)
  })

  test('a segment is cleared with nothing in flight in it, and writes wait until it is', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    extents.quiet = [0]
    const volume = volumeOn(extents)
    const device = volume.open(client)
    const write = start(device, { kind: BlockKind.write, offset: 0, length: 4096 })
    const clearing = volume.segments.clearQuiet(0)
    await tick()
    expect(extents.cleared).toEqual([])
    expect(device.readNow(8192, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.ok)
    expect(device.writeNow(8192, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.wouldBlock)
    extents.release()
    await write.done
    expect(await clearing).toBe(1)
    expect(extents.cleared).toEqual([0])
    expect(device.writeNow(8192, 4096, Buffer.alloc(4096), 0)).toBe(BlockStatus.ok)
  })
})

test('property: any mix of inline and submitted operations on any 512-byte ranges leaves what a plain array holds', async () => {
  const operation = fc.record({
    kind: fc.constantFrom('write', 'writeNow', 'writeAtomic', 'trim', 'zero', 'read', 'readNow'),
    block: fc.integer({ min: 0, max: SIZE / 512 - 1 }),
    blocks: fc.integer({ min: 1, max: 40 }),
    fill: fc.integer({ min: 1, max: 255 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async operations => {
      const extents = new MemoryExtents(SIZE)
      const device = volumeOn(extents).open(client)
      const model = Buffer.alloc(SIZE)
      const pending: Promise<unknown>[] = []
      for (const { kind, block, blocks, fill } of operations) {
        const offset = block * 512
        const length = Math.min(blocks * 512, SIZE - offset)
        const data = Buffer.alloc(length, fill)
        if (kind === 'read' || kind === 'readNow') {
          const expected = Buffer.from(model.subarray(offset, offset + length))
          if (kind === 'readNow' && device.readNow(offset, length, data, 0) === BlockStatus.ok) {
            expect(data.equals(expected)).toBe(true)
            continue
          }
          const read = start(device, { kind: BlockKind.read, offset, length, data })
          pending.push(read.done.then(() => expect(data.equals(expected)).toBe(true)))
          continue
        }
        model.fill(kind === 'trim' || kind === 'zero' ? 0 : fill, offset, offset + length)
        if (kind === 'writeNow' && device.writeNow(offset, length, data, 0) === BlockStatus.ok) continue
        const blockKind = kind === 'writeNow' ? BlockKind.write : BlockKind[kind]
        pending.push(start(device, { kind: blockKind, offset, length, data }).done)
      }
      await Promise.all(pending)
      expect(extents.bytes.equals(model)).toBe(true)
    }),
    { numRuns: 150 },
  )
})
