import { expect, test } from 'vitest'
import { SlabPool } from '../net/slab-output.ts'
import { SLAB_ROOM_BYTES, SLAB_SEGMENT_BYTES_MAX, Transmitter } from './transmit-slab.ts'
import { putStart } from './wire/bhs.ts'
import { digestMatches } from './wire/digest.ts'

const BHS_BYTES = 48

class Outlet {
  readonly writes: Buffer[] = []
  takes = true

  write(bytes: Buffer): boolean {
    this.writes.push(Buffer.from(bytes))
    return this.takes
  }
}

function put(output: Transmitter, dataLength: number, fill = 7): void {
  const at = output.begin(dataLength)
  output.slab.fill(0, at, at + BHS_BYTES)
  putStart(output.slab, at, 0x20, 0x80, 0, 0, dataLength)
  const dataAt = output.dataAt(at)
  output.slab.fill(fill, dataAt, dataAt + dataLength)
  output.end(at)
}

test('transmitter: the PDUs of a pass leave in one write', () => {
  const outlet = new Outlet()
  const output = new Transmitter(new SlabPool(SLAB_ROOM_BYTES, 2), outlet)
  for (let i = 0; i < 32; i++) put(output, 4096)
  expect(outlet.writes).toHaveLength(0)
  output.flush()
  expect(outlet.writes.map(bytes => bytes.length)).toEqual([32 * (BHS_BYTES + 4096)])
  expect(output.pendingBytes).toBe(0)
})

test('transmitter: while the socket has not taken a write, what follows is gathered for one more', () => {
  const outlet = new Outlet()
  const output = new Transmitter(new SlabPool(SLAB_ROOM_BYTES, 2), outlet)
  outlet.takes = false
  put(output, 0)
  output.flush()
  put(output, 4)
  output.flush()
  put(output, 4)
  output.flush()
  expect(outlet.writes).toHaveLength(1)
  expect(output.pendingBytes).toBe(3 * BHS_BYTES + 8)
  outlet.takes = true
  output.taken()
  expect(outlet.writes.map(bytes => bytes.length)).toEqual([BHS_BYTES, 2 * BHS_BYTES + 8])
  expect(output.pendingBytes).toBe(0)
})

test('transmitter: full slabs leave in order, also behind a write that is under way', () => {
  const outlet = new Outlet()
  const output = new Transmitter(new SlabPool(SLAB_ROOM_BYTES, 2), outlet)
  outlet.takes = false
  for (let i = 1; i <= 4; i++) put(output, SLAB_SEGMENT_BYTES_MAX, i)
  expect(outlet.writes).toHaveLength(1)
  outlet.takes = true
  output.taken()
  expect(outlet.writes.map(bytes => bytes[BHS_BYTES])).toEqual([1, 2, 3, 4])
})

test('transmitter: padding is zero and digests cover header and padded data', () => {
  const outlet = new Outlet()
  const output = new Transmitter(new SlabPool(SLAB_ROOM_BYTES, 2), outlet)
  output.headerDigest = true
  output.dataDigest = true
  put(output, 5)
  put(output, 0)
  output.flush()
  const bytes = outlet.writes[0]!
  expect(bytes.length).toBe(BHS_BYTES + 4 + 8 + 4 + BHS_BYTES + 4)
  expect(digestMatches(bytes, BHS_BYTES, 0, BHS_BYTES)).toBe(true)
  expect(bytes.subarray(BHS_BYTES + 4 + 5, BHS_BYTES + 4 + 8)).toEqual(Buffer.alloc(3))
  expect(digestMatches(bytes, BHS_BYTES + 12, BHS_BYTES + 4, 8)).toBe(true)
})

test('transmitter: a PDU that was begun and not ended leaves no trace', () => {
  const outlet = new Outlet()
  const output = new Transmitter(new SlabPool(SLAB_ROOM_BYTES, 2), outlet)
  put(output, 4)
  output.begin(4096)
  output.flush()
  expect(outlet.writes[0]).toHaveLength(BHS_BYTES + 4)
})
