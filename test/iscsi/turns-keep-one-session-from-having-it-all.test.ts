import { expect, test } from 'vitest'
import { LONE_TURN_BYTES } from '../../src/net/turn.ts'
import { mostInOneRound } from '../lib/most-in-one-round.ts'
import { FakeServer, MIB, pattern, read10 } from './serve-fake.ts'

const KEYS = { MaxRecvDataSegmentLength: '262144', MaxBurstLength: '1048576' }
const SEGMENT_BYTES = 262_144
const READS = 100
/** What is left of one turn of a lone one, and the next, each with the Data-In that ends it. */
const ROUND_BYTES_MAX = 2 * (LONE_TURN_BYTES + SEGMENT_BYTES + 1024)

test('turns: however much one session reads, the event loop comes round after a turn of it', async () => {
  await using server = await FakeServer.start()
  server.disk.memory.set(pattern(MIB))
  const greedy = await server.login({ keys: KEYS })
  const [session] = server.target.liveSessions()
  for (let i = 0; i < READS; i++) greedy.command(read10(0, MIB / 512), { read: MIB })
  const all = (async () => {
    let bytes = 0
    for (let left = READS; left > 0; ) {
      const pdu = await greedy.receive()
      bytes += pdu.data.length
      if ((pdu.bhs[1]! & 1) !== 0) left--
    }
    return bytes
  })()
  expect(await mostInOneRound(() => session!.link.output.gatheredBytes, all)).toBeLessThanOrEqual(
    ROUND_BYTES_MAX,
  )
  expect(await all).toBe(READS * MIB)
})
