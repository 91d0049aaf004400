import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemoryExtents } from '../../../test/lib/memory-extents.ts'
import { MemoryStateStorage } from '../../../test/lib/memory-state-storage.ts'
import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import type { ClientIdentity } from '../client-identity.ts'
import { OwnedVolume } from '../owned-volume.ts'
import { Reservations } from '../reservations.ts'
import { AMPLE_SPACE } from '../volume-space.ts'
import { Sanitization } from './sanitization.ts'
import { decodeSanitize, encodeSanitize, patternOfPass, type SanitizeOrder } from './sanitize-state.ts'

const SIZE = 4 * 2 ** 20
const nbd: ClientIdentity = { protocol: 'nbd', name: 'somebody' }
const internal: ClientIdentity = { protocol: 'internal' }

const overwriteWith = (value: number, more: Partial<SanitizeOrder> = {}): SanitizeOrder => ({
  method: 'overwrite',
  pattern: Buffer.alloc(512, value),
  passes: 1,
  inverts: false,
  unrestrictedExit: false,
  ...more,
})
const BLOCK_ERASE = overwriteWith(0, { method: 'blockErase', pattern: Buffer.alloc(0) })

async function open(extents: MemoryExtents, storage: MemoryStateStorage, bytesPerSecond = Infinity) {
  const sanitization = new Sanitization({ storage, bytesPerSecond, retryMs: 1 })
  await sanitization.load()
  const description = {
    name: 'v',
    uuid: '00000000-0000-4000-8000-000000000000',
    naa: Buffer.alloc(16),
    blockSizeBytes: 512 as const,
    sizeBytes: SIZE,
    readOnly: false,
    removable: false,
  }
  const reservations = new Reservations(new MemoryStateStorage())
  const volume = new OwnedVolume(description, extents, { reservations, sanitization, space: AMPLE_SPACE })
  sanitization.resume(client => volume.open(client))
  return { volume, sanitization }
}

function submit(volume: OwnedVolume, client: ClientIdentity, kind: BlockKind): Promise<BlockStatus> {
  return new Promise(resolve => {
    const operation = new BlockOperation({ blockDone: ({ status }) => resolve(status) })
    operation.kind = kind
    operation.lengthBytes = 4096
    operation.data = Buffer.alloc(8192)
    volume.open(client).submit(operation)
  })
}

describe('sanitize', () => {
  test('an overwrite leaves the pattern everywhere, a block erase nothing', async () => {
    const extents = new MemoryExtents(SIZE)
    const { sanitization } = await open(extents, new MemoryStateStorage())
    expect(await sanitization.start(overwriteWith(0xa5))).toBe(true)
    await sanitization.whenEnded()
    expect(extents.bytes.every(byte => byte === 0xa5)).toBe(true)
    expect(extents.log.at(-1)).toBe(`${BlockKind.flush}@0+0`)
    expect(await sanitization.start(BLOCK_ERASE)).toBe(true)
    await sanitization.whenEnded()
    expect(extents.bytes.every(byte => byte === 0)).toBe(true)
    expect(extents.log).toContain(`${BlockKind.trim}@0+${SIZE}`)
    expect(sanitization.refusal).toBe(BlockStatus.ok)
  })

  test('whoever else asks is refused meanwhile, inline and not, and what was under way ends before it', async () => {
    const extents = new MemoryExtents(SIZE)
    extents.holdBack = true
    const { volume, sanitization } = await open(extents, new MemoryStateStorage())
    const before = submit(volume, nbd, BlockKind.write)
    expect(await sanitization.start(overwriteWith(1))).toBe(true)
    for (const client of [nbd, internal]) {
      const handle = volume.open(client)
      expect(handle.readNow(0, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.sanitizing)
      expect(handle.writeNow(0, 512, Buffer.alloc(512), 0)).toBe(BlockStatus.sanitizing)
      expect(await submit(volume, client, BlockKind.flush)).toBe(BlockStatus.sanitizing)
      await expect(handle.extents(0, 4096)).rejects.toMatchObject({ code: 'ERR_BLOCK_SANITIZING' })
    }
    expect(extents.held).toHaveLength(1)
    extents.holdBack = false
    extents.release()
    expect(await before).toBe(BlockStatus.ok)
    await sanitization.whenEnded()
    expect(extents.bytes.every(byte => byte === 1)).toBe(true)
    expect(await submit(volume, nbd, BlockKind.read)).toBe(BlockStatus.ok)
  })

  test('a restart finds it running, keeps everybody out and begins the pass again', async () => {
    const storage = new MemoryStateStorage()
    const first = new MemoryExtents(SIZE)
    const interrupted = await open(first, storage, 2 ** 20)
    await interrupted.sanitization.start(overwriteWith(3, { passes: 2, inverts: true }))
    await interrupted.volume.close()
    expect(first.bytes.every(byte => byte === 0xfc)).toBe(false)
    const second = new MemoryExtents(SIZE)
    const again = await open(second, storage)
    expect(again.sanitization.refusal).toBe(BlockStatus.sanitizing)
    expect(await again.sanitization.start(BLOCK_ERASE)).toBe(false)
    await again.sanitization.whenEnded()
    expect(second.bytes.every(byte => byte === 3)).toBe(true)
    const third = await open(second, storage)
    expect(third.sanitization.refusal).toBe(BlockStatus.ok)
  })

  test('a failed one stays so through a restart, until another succeeds or its failure is accepted', async () => {
    const storage = new MemoryStateStorage()
    const extents = new MemoryExtents(SIZE)
    extents.failure = BlockStatus.noSpace
    const { sanitization, volume } = await open(extents, storage)
    expect(await sanitization.exitFailureMode()).toBe(true)
    await sanitization.start(overwriteWith(1))
    await sanitization.whenEnded()
    expect(await submit(volume, nbd, BlockKind.read)).toBe(BlockStatus.sanitizeFailed)
    const again = await open(extents, storage)
    expect(again.sanitization.refusal).toBe(BlockStatus.sanitizeFailed)
    expect(await again.sanitization.exitFailureMode()).toBe(false)
    await again.sanitization.start(overwriteWith(1, { unrestrictedExit: true }))
    await again.sanitization.whenEnded()
    expect(again.sanitization.refusal).toBe(BlockStatus.sanitizeFailed)
    expect(await again.sanitization.exitFailureMode()).toBe(true)
    expect(again.sanitization.refusal).toBe(BlockStatus.ok)
    await again.sanitization.start(overwriteWith(1))
    await again.sanitization.whenEnded()
    extents.failure = null
    await again.sanitization.start(BLOCK_ERASE)
    await again.sanitization.whenEnded()
    expect(again.sanitization.refusal).toBe(BlockStatus.ok)
  })

  test('one that meets members that are away goes on by itself, from the piece that failed', async () => {
    const extents = new MemoryExtents(SIZE)
    const { volume, sanitization } = await open(extents, new MemoryStateStorage())
    const submitOf = extents.submit.bind(extents)
    let refusals = 0
    extents.submit = operation => {
      if (operation.offsetBytes !== 2 ** 21 || refusals === 3) return submitOf(operation)
      refusals++
      operation.status = BlockStatus.unavailable
      setImmediate(() => operation.completion.blockDone(operation))
    }
    await sanitization.start(overwriteWith(0xa5))
    await sanitization.whenEnded()
    expect(refusals).toBe(3)
    expect(extents.bytes.every(byte => byte === 0xa5)).toBe(true)
    expect(extents.log.filter(entry => entry.startsWith(`${BlockKind.write}@0+`))).toHaveLength(1)
    expect(await submit(volume, nbd, BlockKind.read)).toBe(BlockStatus.ok)
  })

  test.each([
    ['was not stored', false],
    ['was stored without an answer', true],
  ])('whose end %s: that is tried again until it is', async (_what, appliesAnyway) => {
    const storage = new MemoryStateStorage()
    const { sanitization } = await open(new MemoryExtents(SIZE), storage)
    await sanitization.start(BLOCK_ERASE)
    storage.failure = { error: new Error('no metadata'), appliesAnyway }
    setTimeout(() => {
      storage.failure = null
    }, 20)
    await sanitization.whenEnded()
    expect(sanitization.refusal).toBe(BlockStatus.ok)
    expect(decodeSanitize(storage.stored!.bytes)).toBe(null)
  })

  test('one that waits for members that are away ends when it is stopped', async () => {
    const extents = new MemoryExtents(SIZE)
    const storage = new MemoryStateStorage()
    const submitOf = extents.submit.bind(extents)
    extents.submit = operation => {
      operation.status = BlockStatus.unavailable
      setImmediate(() => operation.completion.blockDone(operation))
    }
    const { sanitization, volume } = await open(extents, storage)
    await sanitization.start(BLOCK_ERASE)
    await new Promise(resolve => setTimeout(resolve, 5))
    await volume.close()
    expect(decodeSanitize(storage.stored!.bytes)).toMatchObject({ hasFailed: false })
    extents.submit = submitOf
    const again = await open(extents, storage)
    await again.sanitization.whenEnded()
    expect(again.sanitization.refusal).toBe(BlockStatus.ok)
  })

  test('what cannot be stored does not begin', async () => {
    const storage = new MemoryStateStorage()
    storage.failure = { error: new Error('no metadata'), appliesAnyway: false }
    const { sanitization } = await open(new MemoryExtents(SIZE), storage)
    await expect(sanitization.start(BLOCK_ERASE)).rejects.toThrow('no metadata')
    expect(sanitization.refusal).toBe(BlockStatus.ok)
    storage.failure = null
    expect(await sanitization.start(BLOCK_ERASE)).toBe(true)
  })
})

test('property: what is stored is what is read, and nothing else is taken for it', () => {
  const state = fc.record({
    order: fc.record({
      method: fc.constantFrom('overwrite' as const, 'blockErase' as const),
      pattern: fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes)),
      passes: fc.integer({ min: 1, max: 31 }),
      inverts: fc.boolean(),
      unrestrictedExit: fc.boolean(),
    }),
    passesDone: fc.nat(30),
    hasFailed: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.option(state), one => {
      expect(decodeSanitize(encodeSanitize(one))).toEqual(one)
    }),
  )
  const wrong = encodeSanitize(null)
  wrong[4] = 2
  expect(() => decodeSanitize(wrong)).toThrow(/does not know/)
})

test('passes alternate so that the last one writes the pattern itself', () => {
  const order = overwriteWith(0x0f, { passes: 4, inverts: true })
  expect([0, 1, 2, 3].map(pass => patternOfPass(order, pass, 512)[0])).toEqual([0xf0, 0x0f, 0xf0, 0x0f])
  expect(patternOfPass({ ...order, inverts: false }, 0, 512)[0]).toBe(0x0f)
})
