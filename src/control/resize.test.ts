import { afterEach, beforeEach, expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'
import { joinCluster } from './cluster.ts'
import {
  decodeValue,
  encodeValue,
  fencesNeeded,
  keys,
  type RegistrationValue,
  type VolumeHead,
} from './layout.ts'

const GIB = 2 ** 30
/** So many that each peer is chosen for some of them. */
const MANY_RANGES = 100

let world: ControlWorld
beforeEach(async () => {
  world = await ControlWorld.create()
  for (const id of ['b', 'c', 'd']) await joinCluster(world.store, { id, addresses: [], labels: {} })
})
afterEach(() => world.destroy())

async function head(): Promise<VolumeHead> {
  const key = keys.head('demo')
  return decodeValue('volume', key, (await world.store.get(key))!.value)
}

async function ranges(page = 0): Promise<readonly (readonly number[])[]> {
  const key = keys.page('demo', page)
  return decodeValue('placement', key, (await world.store.get(key))!.value).ranges
}

/** As owners do it. */
async function change(changed: VolumeHead, placed: readonly (readonly number[])[]): Promise<void> {
  await world.store.transact({
    compare: [],
    success: [
      { do: 'put', key: keys.head('demo'), value: encodeValue('volume', changed) },
      { do: 'put', key: keys.page('demo', 0), value: encodeValue('placement', { ranges: placed }) },
    ],
  })
}

test('resize: peers that are new to the volume get it before its size says that it is on them', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  const [[first]] = (await ranges()) as [[number]]
  const steps: string[] = []
  world.host.step = async what => {
    steps.push(`${what}, of ${(await head()).sizeBytes / GIB} GiB`)
  }
  await world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)
  const others = [1, 2, 3, 4].filter(number => number !== first)
  expect(steps[0]).toBe(`add demo on ${others}, of 1 GiB`)
})

test('resize: what an owner wrote over when it moved a range is placed again', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  const before = await ranges()
  world.host.step = async what => {
    const now = await head()
    if (what.startsWith('add')) await change({ ...now, setVersion: now.setVersion + 1 }, before)
  }
  await world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)
  expect([...(await ranges()), ...(await ranges(1))]).toHaveLength(MANY_RANGES)
})

test('resize: refused where fewer than M of a new range would be in sync', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 3 })
  const [placed] = (await ranges()) as [number[]]
  const names = ['peer-1', 'b', 'c', 'd']
  const out = [1, 2, 3, 4].map(number => ({ uuid: `brick-${number}`, since: 1, inSync: '01' }))
  for (const { uuid } of out) {
    const value = encodeValue('brick', { peer: names[Number(uuid.at(-1)) - 1]!, openCounter: 1 })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.brick(uuid), value }] })
  }
  await change({ ...(await head()), out }, [placed])
  const grown = world.control.resizeVolume('demo', 5 * GIB)
  await expect(grown).rejects.toMatchObject({ code: 'ERR_REPLICAS_UNAVAILABLE' })
  await change({ ...(await head()), out: [] }, [placed])
  expect(await world.control.resizeVolume('demo', 5 * GIB)).toMatchObject({ sizeBytes: 5 * GIB })
})

test('resize: refused also where the owner wrote over the new ranges when it put their peers out', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  const before = await ranges()
  const names = ['peer-1', 'b', 'c', 'd']
  const out = [1, 2, 3, 4].map(number => ({ uuid: `brick-${number}`, since: 1, inSync: '01' }))
  for (const [at, { uuid }] of out.entries()) {
    const value = encodeValue('brick', { peer: names[at]!, openCounter: 1 })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.brick(uuid), value }] })
  }
  world.host.step = async what => {
    if (what.startsWith('add')) await change({ ...(await head()), out }, before)
  }
  const grown = world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)
  await expect(grown).rejects.toMatchObject({ code: 'ERR_REPLICAS_UNAVAILABLE' })
  expect((await head()).sizeBytes).toBe(GIB)
})

/** Of a resize that has come as far as to place its ranges, then to fail. */
async function failToGrow(): Promise<void> {
  for (const id of ['peer-1', 'b', 'c', 'd']) await register(id)
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  world.host.step = what => {
    if (what.startsWith('add')) throw new Error('a peer cannot be reached')
  }
  await expect(world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)).rejects.toThrow('cannot be reached')
  world.host.step = () => {}
}

/** The last of those that have nothing of the volume, no longer up. */
async function loseOneThatIsNew(): Promise<{ readonly id: string; readonly number: number }> {
  const [[first]] = (await ranges()) as [[number]]
  const lost = first === 4 ? { id: 'c', number: 3 } : { id: 'd', number: 4 }
  const gone = { do: 'delete', key: keys.registration(lost.id) } as const
  await world.store.transact({ compare: [], success: [gone] })
  return lost
}

test('resize: what one that failed has placed on peers that are down by now is placed anew', async () => {
  await failToGrow()
  const { number } = await loseOneThatIsNew()
  expect((await ranges()).flat()).toContain(number)
  await world.control.resizeVolume('demo', (MANY_RANGES - 1) * 4 * GIB)
  const [last, rest] = [await ranges(1), await ranges()]
  expect([...rest, ...last.slice(0, -1)].flat()).not.toContain(number)
  expect([...rest, ...last]).toHaveLength(MANY_RANGES)
})

test('resize: what one that failed has placed on a peer does not keep it from being removed', async () => {
  await failToGrow()
  const { id } = await loseOneThatIsNew()
  expect(await world.control.showPeer(id)).toMatchObject({ ranges: 0 })
  await world.control.removePeer(id, { force: false })
})

test('resize: refused where a peer that it would grow onto is removed meanwhile', async () => {
  for (const id of ['peer-1', 'b', 'c', 'd']) await register(id)
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  world.host.step = async what => {
    if (!what.startsWith('add')) return
    world.host.step = () => {}
    await world.control.removePeer((await loseOneThatIsNew()).id, { force: false })
  }
  const grown = world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)
  await expect(grown).rejects.toMatchObject({ code: 'ERR_METADATA_CONFLICT' })
  expect(await world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)).toMatchObject({
    sizeBytes: MANY_RANGES * 4 * GIB,
  })
})

test('resize: refused where another one has placed ranges on peers that only that one knows', async () => {
  for (const id of ['peer-1', 'b', 'c']) await register(id)
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  world.host.step = async what => {
    if (!what.startsWith('add')) return
    world.host.step = () => {
      throw new Error('a peer cannot be reached')
    }
    await register('d')
    await expect(world.control.resizeVolume('demo', 2 * MANY_RANGES * 4 * GIB)).rejects.toThrow()
    world.host.step = () => {}
  }
  const grown = world.control.resizeVolume('demo', MANY_RANGES * 4 * GIB)
  await expect(grown).rejects.toMatchObject({ code: 'ERR_METADATA_CONFLICT' })
  expect((await head()).sizeBytes).toBe(GIB)
})

test('minimum: M rises at the owner, when every range has so many in sync', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 })
  const owner = { peer: 'peer-1', number: 1, epoch: 2, incarnation: '' }
  const value = encodeValue('owner', owner)
  await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.owner('demo'), value }] })
  await world.control.setVolume('demo', { replicas: 2 })
  expect(await head()).toMatchObject({ minReplicas: 1, minReplicasWanted: 2 })
  await change({ ...(await head()), setVersion: 2 }, [[1, 2]])
  while ((await head()).minReplicasWanted !== undefined) await new Promise(resolve => setTimeout(resolve, 2))
  expect((await head()).minReplicas).toBe(2)
})

/** So that it counts as up. */
async function register(id: string): Promise<void> {
  const registration = { number: 0, capacityBytes: 0, usedBytes: 0 } as unknown as RegistrationValue
  const value = encodeValue('registration', registration)
  await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.registration(id), value }] })
}

test('minimum: M falls at once, and what it was before stays known to whoever takes over', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 3 })
  for (const id of ['b', 'c', 'd']) await register(id)
  await world.control.setVolume('demo', { replicas: 1 })
  expect(await head()).toMatchObject({ minReplicas: 1, minReplicasBefore: 2 })
  await world.control.setVolume('demo', { replicas: 3 })
  expect(await head()).toMatchObject({ minReplicas: 1, minReplicasWanted: 2, minReplicasBefore: 2 })
})

test('minimum: said while peers are away, it is for going on without them', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 4, minReplicas: 2 })
  for (const id of ['b', 'c', 'd']) await register(id)
  await world.control.setVolume('demo', { minReplicas: 1 })
  expect(await head()).toMatchObject({ minReplicas: 1, minReplicasBefore: 2 })
  const { minReplicasBefore: _, ...rest } = await head()
  await change({ ...rest, minReplicas: 2 }, await ranges())
  const gone = { do: 'delete', key: keys.registration('c') } as const
  await world.store.transact({ compare: [], success: [gone] })
  await world.control.setVolume('demo', { minReplicas: 1 })
  expect(await head()).not.toHaveProperty('minReplicasBefore')
})

test('minimum: what fell with R while peers are away is said afterwards', async () => {
  await world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 4, minReplicas: 2 })
  for (const id of ['peer-1', 'b', 'c', 'd']) await register(id)
  const gone = ['b', 'c', 'd'].map(id => ({ do: 'delete', key: keys.registration(id) }) as const)
  await world.store.transact({ compare: [], success: gone })
  const shown = async () => {
    const { replicas, replication } = await world.control.showVolume('demo')
    return [replicas, replication.health]
  }
  await expect.poll(shown).toEqual([4, 'waiting'])
  await world.control.setVolume('demo', { replicas: 1 })
  expect(await head()).toMatchObject({ minReplicas: 1, minReplicasBefore: 2 })
  // Nobody serves it before so many are reached.
  await expect.poll(shown).toEqual([1, 'waiting'])
  await world.control.setVolume('demo', { minReplicas: 1 })
  expect(await head()).toMatchObject({ minReplicas: 1 })
  await expect.poll(shown).toEqual([1, 'ok'])
  expect(await head()).not.toHaveProperty('minReplicasBefore')
})

test.each([
  [{ minReplicas: 2 }, 3, 2],
  [{ minReplicas: 1, minReplicasBefore: 2 }, 3, 2],
  [{ minReplicas: 1, minReplicasBefore: 2 }, 1, 1],
  [{ minReplicas: 3, minReplicasBefore: 2 }, 3, 3],
  [{ minReplicas: 2, minReplicasBefore: 3 }, 1, 2],
])('minimum: with %o a new owner of %i members fences %i', (head, members, needed) => {
  expect(fencesNeeded(head, members)).toBe(needed)
})
