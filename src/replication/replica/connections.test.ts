import { expect, test } from 'vitest'
import type { PeerIdentity } from '../peer-network.ts'
import { type SenderConnection, SenderConnections } from './connections.ts'

const FROM = { peerNumber: 4, openCounter: 1, incarnation: 'i' } as PeerIdentity

test('connection: a new one waits for all before it, not only for the last, which may have brought nothing', async () => {
  const connections = new SenderConnections()
  connections.open(FROM, 1)
  const first = connections.current(FROM, 1)!
  first.begun()
  connections.open(FROM, 2)
  const second = connections.open(FROM, 3) as SenderConnection
  let drained = false
  const waiting = second.drained().then(() => {
    drained = true
  })
  await new Promise(resolve => setImmediate(resolve))
  expect(drained).toBe(false)
  first.ended()
  await waiting
})

test('connection: what comes by an older one is refused, and so is an older hello', () => {
  const connections = new SenderConnections()
  connections.open(FROM, 2)
  expect(connections.open(FROM, 1)).toBe('stale')
  connections.open(FROM, 3)
  expect([connections.current(FROM, 2), connections.current(FROM, 3)?.number]).toEqual([null, 3])
})

test('connection: a peer with a new brick is let in, though that has been opened less often', () => {
  const connections = new SenderConnections()
  connections.open({ ...FROM, brickUuid: 'old', openCounter: 5 }, 2)
  expect(connections.open({ ...FROM, brickUuid: 'old', openCounter: 4, incarnation: 'j' }, 1)).toBe('stale')
  const from = { ...FROM, brickUuid: 'new', incarnation: 'k' }
  expect(connections.open(from, 1)).not.toBe('stale')
  expect(connections.current(from, 1)?.number).toBe(1)
})
