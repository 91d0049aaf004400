import pino from 'pino'
import { expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'
import { encodeValue, keys } from '../control/layout.ts'
import { Leftovers } from './leftovers.ts'

const log = pino({ enabled: false })

async function leave(world: ControlWorld, peer: number, uuid: string): Promise<void> {
  const value = encodeValue('leftover', { name: 'gone' })
  await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.leftover(peer, uuid), value }] })
}

async function left(world: ControlWorld): Promise<string[]> {
  return (await world.store.range('d/')).entries.map(({ key }) => key)
}

test('leftovers: a peer deletes what was deleted while it was away, and only what the metadata names', async () => {
  const world = await ControlWorld.create()
  const deleted: string[] = []
  const unable = new Set(['v2'])
  const replication = {
    deleteVolume: async ({ uuid, peers }: { uuid: string; peers: readonly number[] }) => {
      if (unable.has(uuid)) return peers
      deleted.push(`${uuid} of ${peers}`)
      return []
    },
  }
  await leave(world, 2, 'v1')
  await leave(world, 2, 'v2')
  await leave(world, 21, 'v3')
  let tick = () => {}
  const every = (_ms: number, run: () => void) => {
    tick = run
    return () => {}
  }
  const leftovers = new Leftovers({ metadata: world.store, replication, peerNumber: 2, log, every })
  await expect.poll(() => left(world)).toEqual(['d/2/v2', 'd/21/v3'])
  unable.clear()
  await expect
    .poll(async () => {
      tick()
      return left(world)
    })
    .toEqual(['d/21/v3'])
  expect(deleted).toEqual(['v1 of 2', 'v2 of 2'])
  leftovers[Symbol.dispose]()
  await world.destroy()
})
