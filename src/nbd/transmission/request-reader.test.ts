import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BufferPool } from '../../net/buffer-pool.ts'
import { NbdCommand } from '../wire/constants.ts'
import { encodeRequest, type NbdRequest } from '../wire/request.ts'
import { RequestReader, type RequestSink } from './request-reader.ts'

const { READ, WRITE } = NbdCommand

interface Sent {
  readonly cookie: number
  readonly payload: Buffer | null
}

/** Stops receiving after every `pauseEvery` requests until it is told to go on. */
class RecordingSink implements RequestSink {
  readonly seen: { cookie: number; payload: Buffer | null }[] = []
  readonly faults: string[] = []
  receiving = true
  wanted = true
  readonly #pool: BufferPool
  readonly #pauseEvery: number

  constructor(pool: BufferPool, pauseEvery: number) {
    this.#pool = pool
    this.#pauseEvery = pauseEvery
  }

  wantsPayload(): boolean {
    return this.wanted
  }

  requestReceived(request: NbdRequest, data: Buffer | null, at: number, pooled: boolean): void {
    const payload = data === null ? null : Buffer.from(data.subarray(at, at + request.payloadBytes))
    this.seen.push({ cookie: request.cookieLow, payload })
    if (pooled) this.#pool.give(data!)
    if (this.seen.length % this.#pauseEvery === 0) this.receiving = false
  }

  streamFailed(fault: string): void {
    this.faults.push(fault)
  }
}

const sent = fc.array(
  fc.record({
    cookie: fc.integer({ min: 0, max: 0xffff_ffff }),
    payload: fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }).map(bytes => Buffer.from(bytes))),
  }),
  { maxLength: 20 },
)

function encode(requests: readonly Sent[]): Buffer {
  return Buffer.concat(
    requests.flatMap(({ cookie, payload }) => {
      const command = payload === null ? READ : WRITE
      const length = BigInt(payload?.length ?? 512)
      return [
        encodeRequest({ command, cookie: BigInt(cookie), offset: 0n, length }, false),
        payload ?? Buffer.alloc(0),
      ]
    }),
  )
}

test('requests: the same whatever pieces the stream comes in, and whenever the sink pauses', () => {
  fc.assert(
    fc.property(
      sent,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 9 }),
      (requests, cuts, pauseEvery) => {
        const pool = new BufferPool(2 ** 20)
        const sink = new RecordingSink(pool, pauseEvery)
        const reader = new RequestReader(sink, pool, false)
        const stream = encode(requests)
        for (let at = 0, i = 0; at < stream.length; i++) {
          const piece = Buffer.from(stream.subarray(at, at + cuts[i % cuts.length]!))
          reader.receive(piece, piece.length)
          // What was handed over in place is gone after the call.
          piece.fill(0xaa)
          at += piece.length
        }
        for (let i = 0; i <= requests.length; i++) {
          sink.receiving = true
          reader.resume()
        }
        expect(sink.seen).toEqual(requests)
        expect(sink.faults).toEqual([])
      },
    ),
  )
})

test('long payload: its rest is received in place', () => {
  const pool = new BufferPool(2 ** 20)
  const sink = new RecordingSink(pool, 99)
  const reader = new RequestReader(sink, pool, false)
  const payload = Buffer.alloc(200_000, 7)
  const stream = encode([{ cookie: 1, payload }])
  reader.receive(stream, 1000)
  const target = reader.directTarget()!
  expect(target.length).toBe(stream.length - 1000)
  stream.copy(target, 0, 1000)
  reader.receivedInPlace(target.length)
  expect(sink.seen).toEqual([{ cookie: 1, payload }])
  expect(reader.directTarget()).toBe(null)
})

test('long payload: the last bytes of it, too, so that the next header does not bring its payload with it', () => {
  const pool = new BufferPool(2 ** 20)
  const sink = new RecordingSink(pool, 99)
  const reader = new RequestReader(sink, pool, false)
  const payload = Buffer.alloc(200_000, 7)
  const stream = encode([{ cookie: 1, payload }])
  reader.receive(stream, stream.length - 10)
  expect(reader.expectsLongPayload).toBe(false)
  const target = reader.directTarget()!
  expect(target.length).toBe(10)
  stream.copy(target, 0, stream.length - 10)
  reader.receivedInPlace(10)
  expect(sink.seen).toEqual([{ cookie: 1, payload }])
})

test('long payload: after one the reader says to expect another, until a request without one', () => {
  const reader = new RequestReader(
    new RecordingSink(new BufferPool(2 ** 20), 99),
    new BufferPool(2 ** 20),
    false,
  )
  const receive = (payload: Buffer | null) => {
    const stream = encode([{ cookie: 1, payload }])
    reader.receive(stream, stream.length)
    return reader.expectsLongPayload
  }
  expect(receive(Buffer.alloc(4096))).toBe(false)
  expect(receive(Buffer.alloc(200_000))).toBe(true)
  expect(receive(null)).toBe(false)
})

test('payload that is not wanted: skipped without a buffer', () => {
  const pool = new BufferPool(2 ** 20)
  const sink = new RecordingSink(pool, 99)
  sink.wanted = false
  const reader = new RequestReader(sink, pool, false)
  const stream = encode([
    { cookie: 1, payload: Buffer.alloc(200_000) },
    { cookie: 2, payload: null },
  ])
  reader.receive(stream, 100_000)
  expect(reader.heldBytes).toBe(0)
  reader.receive(stream.subarray(100_000), stream.length - 100_000)
  expect(sink.seen).toEqual([
    { cookie: 1, payload: null },
    { cookie: 2, payload: null },
  ])
})

test('garbage: told once, and nothing after it is looked at', () => {
  const pool = new BufferPool(2 ** 20)
  const sink = new RecordingSink(pool, 99)
  const reader = new RequestReader(sink, pool, false)
  reader.receive(Buffer.alloc(100), 100)
  reader.receive(encode([{ cookie: 1, payload: null }]), 28)
  expect(sink).toMatchObject({ faults: ['badRequestMagic'], seen: [] })
})
