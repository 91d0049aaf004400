import { expect, test } from 'vitest'
import { FakeSessions } from '../../test/lib/control-world.ts'
import { peerIdentity } from '../../test/lib/peer-network-contract.ts'
import { ClusterSessions } from '../control/cluster-sessions.ts'
import type { Model } from '../control/model.ts'
import { Sessions } from '../control/sessions.ts'
import type { ReplicaStore, ReplicaVolume } from '../replication/replica-store.ts'
import { LocalPeerHub } from '../replication/wire/local-peer-network.ts'
import { bootTimers } from './boot-timers.ts'
import { DaemonQuestions } from './daemon-questions.ts'

const NAMES = ['a', 'b', 'c']

/** What each daemon's brick holds, by volume. */
function brickOf(held: Record<string, number>): Pick<ReplicaStore, 'volumes' | 'volume'> {
  return {
    volumes: () => Object.keys(held),
    volume: uuid => ({ usedBytes: held[uuid] }) as ReplicaVolume,
  }
}
const bricks = [brickOf({ v1: 100, v2: 7 }), brickOf({ v1: 40 }), brickOf({})]

/** Three daemons that hear each other; peer d is registered, and nobody. */
function threeDaemons() {
  const hub = new LocalPeerHub()
  const peers = [...NAMES, 'd'].map((id, at) => ({ id, value: { number: at + 1 } }))
  const withClients = { portals: ['127.0.0.1:3260'], nbd: [] }
  const models = { now: { peers, registration: () => withClients } as unknown as Model }
  const daemons = NAMES.map((name, at) => {
    const network = hub.join(peerIdentity(at + 1))
    const here = new FakeSessions()
    const sessions = new Sessions()
    sessions.add(here)
    const own = new Set([name])
    const questions = new DaemonQuestions({
      network,
      timers: bootTimers,
      model: () => models.now,
      own,
      stores: [bricks[at]!],
      listMs: 50,
    })
    const refused: unknown[] = []
    const handler = questions.answering({
      received: request => void refused.push(request.body),
      connected: async () => {},
      disconnected: () => {},
    })
    network.serve(handler)
    return { name, here, sessions, questions, refused, all: new ClusterSessions(sessions, questions, name) }
  })
  for (const daemon of daemons) daemon.questions.here = daemon.sessions
  return { daemons, models }
}

async function listed({ daemons }: ReturnType<typeof threeDaemons>, at: number) {
  const { sessions, silent } = await daemons[at]!.all.list()
  return { ids: sessions.map(({ id }) => id), silent }
}

test('sessions: every daemon lists those of all, and names who does not answer', async () => {
  const world = threeDaemons()
  const [a, b, c] = world.daemons
  a!.here.add({ target: 'iqn.2026-11.test:a' })
  for (let i = 0; i < 2; i++) c!.here.add({ target: 'iqn.2026-11.test:c' })
  for (const at of [0, 1, 2]) {
    expect(await listed(world, at)).toEqual({
      ids: ['iscsi-1@a', 'iscsi-1@c', 'iscsi-2@c'],
      silent: ['d'],
    })
  }
  b!.questions.here = null
  expect(await listed(world, 0)).toMatchObject({ silent: ['b', 'd'] })
  expect(world.daemons.flatMap(({ refused }) => refused)).toEqual([])
})

test('sessions: who is asked is as the catalogue has it now, also after it was loaded anew', async () => {
  const world = threeDaemons()
  const peers = world.models.now.peers.filter(({ id }) => id !== 'd')
  world.models.now = { ...world.models.now, peers } as unknown as Model
  expect(await listed(world, 0)).toMatchObject({ silent: [] })
})

test('sessions: more than fit into one answer come in several', async () => {
  const world = threeDaemons()
  const [, b] = world.daemons
  for (let i = 0; i < 8001; i++) b!.here.add({ target: null })
  const { ids } = await listed(world, 0)
  expect(new Set(ids).size).toBe(8001)
})

test('sessions: one is ended where it is, by whichever daemon is asked', async () => {
  const world = threeDaemons()
  const [a, , c] = world.daemons
  c!.here.add({ target: 'iqn.2026-11.test:c' })
  a!.here.add({ target: 'iqn.2026-11.test:c' })
  expect(await a!.all.kick('iscsi-1@c', 'wanted')).toBe('iqn.1993-08.org.debian:a')
  expect([a!.here.list.length, c!.here.kicked]).toEqual([1, ['iscsi-1: wanted']])
  await expect(a!.all.kick('iscsi-1@c', 'wanted')).rejects.toMatchObject({ code: 'ERR_SESSION_NOT_FOUND' })
  await expect(a!.all.kick('iscsi-1@x', 'wanted')).rejects.toMatchObject({ code: 'ERR_SESSION_NOT_FOUND' })
  await expect(a!.all.kick('iscsi-1@d', 'wanted')).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
})

test('used: what every other brick holds of each volume', async () => {
  const [a, , c] = threeDaemons().daemons
  expect(await c!.questions.usedOnBricks()).toEqual(
    new Map([
      ['v1', [100, 40]],
      ['v2', [7]],
    ]),
  )
  expect(await a!.questions.usedOnBricks()).toEqual(new Map([['v1', [40]]]))
})
