import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeFrameHead, encodeHeader, FrameKind, SparseReader } from '../../../src/api/sparse-stream.ts'

const SIZE = 2 ** 20
const NO_DATA = Buffer.alloc(0)

interface Piece {
  readonly gap: number
  readonly data: Uint8Array
}

function encode(pieces: readonly Piece[], sizeBytes = SIZE): { stream: Buffer; image: Buffer } {
  const image = Buffer.alloc(sizeBytes)
  const parts = [encodeHeader(sizeBytes)]
  let at = 0
  for (const { gap, data } of pieces) {
    at += gap
    const bytes = Buffer.from(data)
    bytes.copy(image, at)
    parts.push(encodeFrameHead(FrameKind.data, at, bytes), bytes)
    at += bytes.length
  }
  parts.push(encodeFrameHead(FrameKind.end, sizeBytes, NO_DATA))
  return { stream: Buffer.concat(parts), image }
}

async function* chunked(stream: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < stream.length; at += chunkBytes) yield stream.subarray(at, at + chunkBytes)
}

async function decode(stream: Buffer, chunkBytes = 1000): Promise<Buffer> {
  const reader = new SparseReader(chunked(stream, chunkBytes))
  const sizeBytes = await reader.readSize()
  const image = Buffer.alloc(Math.min(sizeBytes, SIZE))
  for await (const { offsetBytes, data } of reader.frames(sizeBytes)) data.copy(image, offsetBytes)
  return image
}

const pieces = fc.array(fc.record({ gap: fc.nat(5000), data: fc.uint8Array({ maxLength: 5000 }) }), {
  maxLength: 20,
})

test('sparse stream: what is encoded is decoded, however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 9000 }), async (frames, chunkBytes) => {
      const { stream, image } = encode(frames)
      expect((await decode(stream, chunkBytes)).equals(image)).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('sparse stream: one that is cut short or has a flipped payload bit is refused', async () => {
  const data = Buffer.alloc(3000, 'x')
  const { stream } = encode([{ gap: 10, data }])
  await fc.assert(
    fc.asyncProperty(fc.nat(stream.length - 1), async length => {
      await expect(decode(stream.subarray(0, length))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' })
    }),
    { numRuns: 100 },
  )
  const payloadAt = stream.indexOf(data)
  stream[payloadAt + 1234]! ^= 4
  await expect(decode(stream)).rejects.toThrow('damaged at offset 10')
})

test('sparse stream: garbage, another version and frames that make no sense are refused', async () => {
  const frame = (kind: number, at: number, data: Buffer) =>
    Buffer.concat([encodeHeader(SIZE), encodeFrameHead(kind as FrameKind, at, data), data])
  const otherVersion = encodeHeader(SIZE)
  otherVersion.writeUInt32BE(2, 8)
  const hugeFrame = frame(FrameKind.data, 0, NO_DATA)
  hugeFrame.writeUInt32BE(0xffffffff, 24 + 4)
  const data = Buffer.alloc(512)
  const backwards = Buffer.concat([
    frame(FrameKind.data, 1024, data),
    encodeFrameHead(FrameKind.data, 1000, data),
    data,
  ])
  const cases: [Buffer, string][] = [
    [Buffer.alloc(100), 'does not begin like'],
    [otherVersion, 'version 2'],
    [frame(9, 0, data), 'makes no sense'],
    [hugeFrame, 'makes no sense'],
    [frame(FrameKind.data, SIZE - 1, data), 'past the end'],
    [frame(FrameKind.end, 5, NO_DATA), 'another size'],
    [backwards, 'overlap or go back'],
  ]
  for (const [stream, message] of cases) await expect(decode(stream)).rejects.toThrow(message)
})

test('sparse stream: a failure frame is the error that the other end had', async () => {
  const says = Buffer.from('the disk is gone')
  const stream = Buffer.concat([encodeHeader(SIZE), encodeFrameHead(FrameKind.failure, 0, says), says])
  await expect(decode(stream)).rejects.toThrow('the disk is gone')
})
