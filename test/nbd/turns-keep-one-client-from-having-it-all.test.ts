import { expect, test } from 'vitest'
import { NbdCommand } from '../../src/nbd/wire/constants.ts'
import { LONE_TURN_BYTES } from '../../src/net/turn.ts'
import { mostInOneRound } from '../lib/most-in-one-round.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { serveMemory } from './serve-memory.ts'

const REQUEST_BYTES = 256 * 1024
const REQUESTS = 256
/** What is left of one turn of a lone one, and the next, each with the request that ends it. */
const ROUND_BYTES_MAX = 2 * (LONE_TURN_BYTES + REQUEST_BYTES)

test.each(['read', 'write'] as const)(
  '%s: however much one client asks for, the event loop comes round after a turn of it',
  async verb => {
    await using served = await serveMemory()
    using greedy = await NbdClient.open(served.port)
    using other = await NbdClient.open(served.port)
    const moved = () =>
      served.server
        .sessions()
        .reduce((sum, session) => sum + session.stats.readBytes + session.stats.writtenBytes, 0)
    const request =
      verb === 'read'
        ? { command: NbdCommand.READ, length: REQUEST_BYTES }
        : { command: NbdCommand.WRITE, payload: Buffer.alloc(REQUEST_BYTES) }
    for (let i = 0; i < REQUESTS; i++) greedy.sendRequest(request)
    const all = (async () => {
      const errors = new Set<number>()
      for (let i = 0; i < REQUESTS; i++) errors.add((await greedy.reply()).error)
      return [...errors]
    })()
    expect(await mostInOneRound(moved, all)).toBeLessThanOrEqual(ROUND_BYTES_MAX)
    expect(await all).toEqual([0])
    expect((await other.readAt(0, 4096)).length).toBe(4096)
  },
)
