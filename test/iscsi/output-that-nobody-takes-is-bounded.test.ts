import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { SLAB_SEGMENT_BYTES_MAX } from '../../src/iscsi-target/transmit-slab.ts'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { ManualClock } from '../lib/manual-clock.ts'
import { FakeServer, MIB, pattern, read10 } from './serve-fake.ts'

const KEYS = { MaxRecvDataSegmentLength: '262144', MaxBurstLength: '1048576' }
const READS = 120
const READ_BYTES = MIB

for (const fetchMs of [-1, 1]) {
  const how = fetchMs < 0 ? 'at hand' : 'fetched'

  test(`output: a client that never reads its answers does not grow the target (data ${how})`, async () => {
    const outputBytesPerSessionMax = 2 * MIB
    await using server = await FakeServer.start({ limits: { outputBytesPerSessionMax } })
    server.disk.memory.set(pattern(READ_BYTES))
    server.disk.fetchMs = fetchMs
    const greedy = await server.login({ keys: KEYS })
    const other = await server.login({ isid: '400000000002' })
    greedy.socket.pause()
    for (let i = 0; i < READS; i++) greedy.command(read10(0, READ_BYTES / 512), { read: READ_BYTES })
    const [session] = server.target.liveSessions()
    await expect.poll(() => session!.link.output.pendingBytes, { timeout: 15_000 }).toBeGreaterThan(0)
    await sleep(150)
    const pending = session!.link.output.pendingBytes
    expect(pending).toBeLessThanOrEqual(outputBytesPerSessionMax + READ_BYTES + SLAB_SEGMENT_BYTES_MAX)
    other.nopOut()
    expect((await other.receive()).opcode).toBe(Opcode.nopIn)

    greedy.socket.resume()
    const got = new Map<number, number>()
    for (let left = READS; left > 0; ) {
      const pdu = await greedy.receive()
      expect(pdu.opcode).toBe(Opcode.dataIn)
      const itt = pdu.bhs.readUInt32BE(16)
      got.set(itt, (got.get(itt) ?? 0) + pdu.data.length)
      if ((pdu.bhs[1]! & 1) !== 0) left--
    }
    expect([...got.values()]).toEqual(new Array(READS).fill(READ_BYTES))
    expect(session!.link.output.pendingBytes).toBe(0)
  })
}

test('output: pings that nobody reads the answers of are not read any more', async () => {
  const outputBytesPerSessionMax = MIB
  await using server = await FakeServer.start({ limits: { outputBytesPerSessionMax } })
  const greedy = await server.login({ keys: KEYS })
  greedy.socket.pause()
  for (let i = 0; i < 64; i++) greedy.nopOut(Buffer.alloc(256 * 1024))
  await sleep(150)
  const [session] = server.target.liveSessions()
  expect(session!.link.output.pendingBytes).toBeLessThanOrEqual(outputBytesPerSessionMax + MIB)
  expect(greedy.socket.writableLength).toBeGreaterThan(0)
  greedy.socket.resume()
  for (let i = 0; i < 64; i++) expect((await greedy.receive()).opcode).toBe(Opcode.nopIn)
})

test('output: a session whose output is not taken for long is ended', async () => {
  const clock = new ManualClock()
  const limits = { outputBytesPerSessionMax: MIB, pingIdleMs: 1_000, pingTimeoutMs: 1_000 }
  await using server = await FakeServer.start({ clock, limits })
  const greedy = await server.login({ keys: KEYS })
  greedy.socket.pause()
  for (let i = 0; i < 64; i++) greedy.command(read10(0, READ_BYTES / 512), { read: READ_BYTES })
  await sleep(100)
  clock.pass(1_999)
  expect(server.target.sessions()).toHaveLength(1)
  clock.pass(1)
  expect(server.target.sessions()).toHaveLength(0)
  expect(server.target.faults.get('outputNotTaken')).toBe(1)
})
