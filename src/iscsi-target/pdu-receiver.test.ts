import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BufferPool } from '../net/buffer-pool.ts'
import { DIRECT_RECEIVE_BYTES_MIN } from './limits.ts'
import { type PayloadPlace, PduReceiver, type PduSink, type StreamFault } from './pdu-receiver.ts'
import { paddedBytes } from './wire/bhs.ts'
import { putDigest } from './wire/digest.ts'

const BHS_BYTES = 48

class RecordingSink implements PduSink {
  receiving = true
  readonly pdus: { header: string; data: string }[] = []
  readonly faults: (StreamFault | 'dataDigest')[] = []
  home: Buffer | null = null
  stopAfter = Number.POSITIVE_INFINITY

  pduReceived(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): void {
    const header = pdu.subarray(at, at + BHS_BYTES + pdu[at + 4]! * 4)
    this.pdus.push({
      header: header.toString('hex'),
      data: data.subarray(dataAt, dataAt + dataLength).toString('hex'),
    })
    if (this.pdus.length >= this.stopAfter) this.receiving = false
  }

  placePayload(_pdu: Buffer, _at: number, _dataLength: number, place: PayloadPlace): boolean {
    if (this.home === null) return false
    place.buffer = this.home
    place.at = 0
    return true
  }

  dataDigestFailed(): void {
    this.faults.push('dataDigest')
  }

  streamFailed(fault: StreamFault): void {
    this.faults.push(fault)
  }
}

interface Digests {
  readonly header: boolean
  readonly data: boolean
}

function frame(dataLength: number, ahsWords: number, seed: number, digests: Digests): Buffer {
  const header = Buffer.alloc(BHS_BYTES + ahsWords * 4 + (digests.header ? 4 : 0), seed)
  header[4] = ahsWords
  header.writeUIntBE(dataLength, 5, 3)
  if (digests.header) putDigest(header, header.length - 4, 0, header.length - 4)
  const padded = paddedBytes(dataLength)
  const data = Buffer.alloc(padded + (digests.data && dataLength > 0 ? 4 : 0))
  data.fill(seed + 1, 0, dataLength)
  if (data.length > padded) putDigest(data, padded, 0, padded)
  return Buffer.concat([header, data])
}

function receiver(sink: PduSink, digests: Digests): PduReceiver {
  const made = new PduReceiver(sink, new BufferPool(1 << 20))
  made.headerDigest = digests.header
  made.dataDigest = digests.data
  made.dataSegmentBytesMax = 1 << 20
  return made
}

/** Feeds `stream` in pieces, in place where the receiver asks for that. */
function feed(into: PduReceiver, stream: Buffer, cuts: readonly number[]): void {
  let at = 0
  for (const cut of [...cuts, stream.length]) {
    while (at < cut) {
      const direct = into.directTarget()
      const length = Math.min(cut - at, direct?.length ?? Number.POSITIVE_INFINITY)
      if (direct === null) {
        into.receive(Buffer.from(stream.subarray(at, at + length)), length)
      } else {
        stream.copy(direct, 0, at, at + length)
        into.receivedInPlace(length)
      }
      at += length
    }
  }
}

const someDigests = fc.record({ header: fc.boolean(), data: fc.boolean() })
const somePdus = fc.array(
  fc.record({
    dataLength: fc.oneof(fc.nat(300), fc.nat(70_000), fc.integer({ min: 140_000, max: 150_000 })),
    ahsWords: fc.nat(6),
  }),
  { minLength: 1, maxLength: 8 },
)

test('receiver: however a stream is cut, the same PDUs come out', () => {
  fc.assert(
    fc.property(somePdus, someDigests, fc.array(fc.nat(), { maxLength: 12 }), (pdus, digests, somewhere) => {
      const stream = Buffer.concat(pdus.map((pdu, i) => frame(pdu.dataLength, pdu.ahsWords, i + 1, digests)))
      const whole = new RecordingSink()
      receiver(whole, digests).receive(stream, stream.length)
      const cuts = somewhere.map(place => place % stream.length).sort((a, b) => a - b)
      const cut = new RecordingSink()
      feed(receiver(cut, digests), stream, cuts)
      expect(whole.pdus.length).toBe(pdus.length)
      expect(cut.pdus).toEqual(whole.pdus)
      expect([...whole.faults, ...cut.faults]).toEqual([])
    }),
    { numRuns: 60 },
  )
})

test('receiver: a stream that comes byte by byte gives whole PDUs', () => {
  const digests = { header: true, data: true }
  const stream = Buffer.concat([frame(5, 0, 1, digests), frame(0, 2, 2, digests), frame(64, 1, 3, digests)])
  const sink = new RecordingSink()
  feed(
    receiver(sink, digests),
    stream,
    Array.from({ length: stream.length }, (_, i) => i),
  )
  expect(sink.pdus.map(pdu => pdu.data.length / 2)).toEqual([5, 0, 64])
})

test('receiver: the rest of a large payload is received straight into the place that the sink names', () => {
  const sink = new RecordingSink()
  const into = receiver(sink, { header: false, data: false })
  const lengthBytes = DIRECT_RECEIVE_BYTES_MIN * 2
  sink.home = Buffer.alloc(lengthBytes)
  const stream = frame(lengthBytes, 0, 1, { header: false, data: false })
  into.receive(stream, 1000)
  const direct = into.directTarget()!
  expect(direct.buffer).toBe(sink.home.buffer)
  expect(direct.length).toBe(lengthBytes - (1000 - BHS_BYTES))
  expect(into.isReceivingInto(sink.home)).toBe(true)
  stream.copy(direct, 0, 1000)
  into.receivedInPlace(direct.length)
  expect(sink.pdus).toHaveLength(1)
  expect(sink.home.equals(stream.subarray(BHS_BYTES))).toBe(true)
  expect(into.isReceivingInto(sink.home)).toBe(false)
})

test('receiver: a sink that stops receiving gets the rest when it goes on', () => {
  const none = { header: false, data: false }
  const sink = new RecordingSink()
  sink.stopAfter = 1
  const into = receiver(sink, none)
  const stream = Buffer.concat([frame(8, 0, 1, none), frame(8, 0, 2, none), frame(8, 0, 3, none)])
  into.receive(stream, stream.length - 5)
  expect(sink.pdus).toHaveLength(1)
  expect(into.hasBacklog).toBe(true)
  sink.stopAfter = Number.POSITIVE_INFINITY
  sink.receiving = true
  into.resume()
  expect(into.hasBacklog).toBe(false)
  into.receive(stream.subarray(stream.length - 5), 5)
  expect(sink.pdus).toHaveLength(3)
})

test('receiver: a wrong header digest ends the stream before the header is looked at', () => {
  const digests = { header: true, data: false }
  const sink = new RecordingSink()
  const stream = Buffer.concat([frame(8, 0, 1, digests), frame(8, 0, 2, digests)])
  stream[BHS_BYTES] = stream[BHS_BYTES]! ^ 1
  const into = receiver(sink, digests)
  into.receive(stream, stream.length)
  expect(sink.faults).toEqual(['headerDigest'])
  expect(sink.pdus).toEqual([])
})

test('receiver: a wrong data digest spoils that PDU alone, cut or whole', () => {
  const digests = { header: false, data: true }
  const stream = Buffer.concat([frame(8, 0, 1, digests), frame(9, 0, 2, digests)])
  stream[BHS_BYTES + 3] = stream[BHS_BYTES + 3]! ^ 1
  for (const cuts of [[], [50]]) {
    const sink = new RecordingSink()
    feed(receiver(sink, digests), stream, cuts)
    expect(sink.faults).toEqual(['dataDigest'])
    expect(sink.pdus.map(pdu => pdu.data.length / 2)).toEqual([9])
  }
})

test('receiver: a data segment beyond what we declared ends the stream without a buffer for it', () => {
  const sink = new RecordingSink()
  const into = receiver(sink, { header: false, data: false })
  into.dataSegmentBytesMax = 8192
  const header = frame(0, 0, 1, { header: false, data: false })
  header.writeUIntBE(8193, 5, 3)
  into.receive(header, header.length)
  expect(sink.faults).toEqual(['dataSegmentTooLong'])
})
