import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BufferPool } from '../../net/buffer-pool.ts'
import { SlabOutput, SlabPool } from '../../net/slab-output.ts'
import { PeerRequest } from '../peer-network.ts'
import { type FrameFault, type FrameHeader, FrameType } from './frame.ts'
import { ContentIn, FrameReader, type FrameSink } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { TRANSMIT_SLAB_BYTES } from './limits.ts'

interface Said {
  readonly type: FrameType
  readonly id: number
  readonly content: string
}

/** Notes frames; long replies go into a buffer of its own, as a link does it. */
class NotingSink implements FrameSink {
  readonly frames: Said[] = []
  readonly faults: FrameFault[] = []
  readonly targetAt = 3
  readonly #pool: BufferPool

  constructor(pool: BufferPool) {
    this.#pool = pool
  }

  payloadTarget(header: FrameHeader): Buffer | null {
    return header.type === FrameType.reply ? Buffer.alloc(header.payloadBytes + 3) : null
  }

  frameReceived(header: FrameHeader, content: Buffer, at: number, where: ContentIn): null {
    const bytes = header.bodyBytes + header.payloadBytes
    this.frames.push({ type: header.type, id: header.id, content: content.toString('hex', at, at + bytes) })
    if (where === ContentIn.pooled) this.#pool.give(content)
    return null
  }

  streamFailed(fault: FrameFault): void {
    this.faults.push(fault)
  }
}

function read(chunks: readonly Buffer[]): NotingSink {
  const pool = new BufferPool(2 ** 20)
  const sink = new NotingSink(pool)
  const reader = new FrameReader(sink, pool)
  for (const chunk of chunks) {
    let rest = chunk
    // As a socket does it: what has a place of its own is received there.
    for (
      let target = reader.directTarget();
      target !== null && rest.length > 0;
      target = reader.directTarget()
    ) {
      const length = rest.copy(target)
      reader.receivedInPlace(length)
      rest = rest.subarray(length)
    }
    reader.receive(rest, rest.length)
  }
  return sink
}

interface Given {
  readonly isRequest: boolean
  readonly body: string
  readonly payloadBytes: number
}

/** The bytes of these frames, and what a reader must say of them. */
function write(frames: readonly Given[]): { bytes: Buffer; said: Said[] } {
  const written: Buffer[] = []
  const outlet = {
    write: (bytes: Buffer, behind: Buffer | null) =>
      written.push(Buffer.concat(behind === null ? [bytes] : [bytes, behind])) > 0,
  }
  const output = new SlabOutput(new SlabPool(TRANSMIT_SLAB_BYTES, 4), outlet)
  const writer = new FrameWriter(output)
  const said = frames.map(({ isRequest, body, payloadBytes }, id): Said => {
    const bodyBytes = Buffer.from(body)
    const payload = Buffer.alloc(payloadBytes, id + 1)
    if (isRequest) {
      const request = new PeerRequest({ replied() {} })
      Object.assign(request, { payload, payloadLengthBytes: payloadBytes })
      writer.request(request, id, bodyBytes)
    } else {
      writer.reply(id, 0, 0, bodyBytes, payload, 0, payloadBytes, { give() {} })
    }
    const type = isRequest ? FrameType.request : FrameType.reply
    return { type, id, content: Buffer.concat([bodyBytes, payload]).toString('hex') }
  })
  output.flush()
  return { bytes: Buffer.concat(written), said }
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length))
}

const given = fc.record({
  isRequest: fc.boolean(),
  body: fc.string({ maxLength: 20 }),
  payloadBytes: fc.oneof(fc.constant(0), fc.nat({ max: 300 }), fc.nat({ max: 200_000 })),
})

test('frames: any cutting of the stream gives the same frames', () => {
  fc.assert(
    fc.property(fc.array(given, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (frames, at) => {
      const { bytes, said } = write(frames)
      const sink = read(cut(bytes, at))
      expect(sink.faults).toEqual([])
      expect(sink.frames).toEqual(said)
    }),
    { numRuns: 150 },
  )
})

test('frames: byte by byte gives the same frames', () => {
  const { bytes, said } = write([
    { isRequest: true, body: '{"a":1}', payloadBytes: 100 },
    { isRequest: false, body: '', payloadBytes: 0 },
    { isRequest: true, body: '', payloadBytes: 0 },
    { isRequest: false, body: '[]', payloadBytes: 7 },
  ])
  const sink = read(Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)))
  expect([sink.faults, sink.frames]).toEqual([[], said])
})

test('frames: a spoilt byte ends the stream, and nothing that follows is handed over', () => {
  fc.assert(
    fc.property(
      fc.array(given, { minLength: 1, maxLength: 5 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (frames, place, change) => {
        const { bytes, said } = write(frames)
        bytes[place % bytes.length]! ^= change
        const sink = read([bytes])
        expect(sink.frames).toEqual(said.slice(0, sink.frames.length))
        // A spoilt type may ask for more bytes than came: then nothing was taken either.
        expect(sink.frames.length).toBeLessThan(said.length)
      },
    ),
    { numRuns: 150 },
  )
})

test('fuzz: any bytes are refused or waited for, never thrown at', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }), chunks => {
      const sink = read(chunks.map(chunk => Buffer.from(chunk)))
      expect(sink.frames).toEqual([])
      expect(sink.faults.length).toBeLessThan(2)
    }),
    { numRuns: 500 },
  )
})
