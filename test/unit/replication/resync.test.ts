import { expect, test } from 'vitest'
import { Copy, type CopyOrder } from '../../../src/replication/resync/copy.ts'
import type { JoinGate } from '../../../src/replication/resync/resync-ports.ts'
import { SharedBudget } from '../../../src/replication/resync/shared-budget.ts'
import { seeded } from '../../crash/random.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'
import { BLOCK, BLOCKS_PER_REGION, FakeBrick, REGION } from './fake-bricks.ts'
import { FakeOwner } from './fake-owner.ts'

const FREE = { take: () => Promise.resolve() }
const RETURN: CopyOrder = { kind: 'resync', joins: 3, leaves: null, ranges: [0], since: 5 }

interface Cluster {
  readonly owner: FakeOwner
  readonly survivors: readonly [FakeBrick, FakeBrick]
  readonly joiner: FakeBrick
}

/** Two members and a third that left when generation 5 began, all equal until then. */
function aCluster(): Cluster {
  const [one, two, joiner] = [new FakeBrick(1), new FakeBrick(2), new FakeBrick(3)]
  for (const brick of [one, two, joiner]) {
    for (let block = 0; block < 640; block += 7) brick.put(block, block + 100, 1)
    brick.active.clear()
  }
  return { owner: new FakeOwner([one, two, joiner], [one, two]), survivors: [one, two], joiner }
}

function missed({ survivors }: Cluster, block: number, value: number, generation = 5): void {
  for (const brick of survivors) brick.put(block, value, generation)
}

function copy(owner: FakeOwner, order: Partial<CopyOrder> = {}): Copy {
  return new Copy({ ...RETURN, ...order }, owner, new ManualTimers(), FREE)
}

function differing(one: FakeBrick, other: FakeBrick): number[] {
  const blocks = new Set([...one.blocks.keys(), ...other.blocks.keys(), ...one.bad, ...other.bad])
  return [...blocks].filter(block => one.valueOf(block) !== other.valueOf(block)).sort((a, b) => a - b)
}

test('return: only blocks that differ are copied, and the regions take the larger stamp', async () => {
  const cluster = aCluster()
  const { owner, joiner, survivors } = cluster
  missed(cluster, 3, 1000)
  missed(cluster, 130, 2000, 6)
  missed(cluster, 140, 0, 8)
  joiner.stamps.set(2, 9)
  const running = copy(owner)
  await running.run()
  expect(differing(survivors[0], joiner)).toEqual([])
  expect(joiner.copiedBlocks).toBe(3)
  expect([joiner.stamps.get(0), joiner.stamps.get(2)]).toEqual([5, 9])
  expect(owner.changes).toEqual([{ ranges: [0], joins: 3, leaves: null }])
  expect(owner.gates.size).toBe(0)
  expect(running.progress).toMatchObject({ regionsTotal: 2, regionsDone: 2, copiedBytes: 2 * BLOCK })
})

test('return: what one survivor alone stamped, and what the joiner stamped or left active, is looked at', async () => {
  const cluster = aCluster()
  const { owner, joiner, survivors } = cluster
  joiner.put(70, 7777, 5)
  joiner.active.clear()
  survivors[1].stamps.set(5, 5)
  joiner.blocks.set(5 * BLOCKS_PER_REGION, 8888)
  joiner.active.add(1)
  joiner.blocks.set(20 * BLOCKS_PER_REGION, 9999)
  await copy(owner).run()
  expect(differing(survivors[0], joiner)).toEqual([])
  expect(joiner.copiedBlocks).toBe(3)
})

test('return: what nobody stamped since is neither compared nor copied', async () => {
  const cluster = aCluster()
  missed(cluster, 3, 1000)
  await copy(cluster.owner).run()
  expect(cluster.joiner.calls.filter(call => call === 'digestRegions')).toHaveLength(2)
})

test('full comparison: every region that either ever used is looked at', async () => {
  const { owner, joiner, survivors } = aCluster()
  joiner.blocks.set(300, 31337)
  joiner.stamps.set(400, 0)
  joiner.blocks.set(400 * BLOCKS_PER_REGION, 31338)
  owner.sizeBytes = 1024 ** 3
  await copy(owner, { since: 0 }).run()
  expect(differing(survivors[0], joiner)).toEqual([])
})

test('return: a joiner that turns out to be empty gets everything, whatever it missed', async () => {
  const { owner, joiner, survivors } = aCluster()
  joiner.blocks.clear()
  joiner.stamps.clear()
  owner.joinerIsNew = true
  await copy(owner).run()
  expect(differing(survivors[0], joiner)).toEqual([])
})

test('return: the joiner is durable, and trusted, before its joining is asked for', async () => {
  const cluster = aCluster()
  const { owner, joiner } = cluster
  missed(cluster, 3, 1000)
  joiner.suspect.add(0).add(1)
  const { change } = owner
  owner.change = order => {
    expect([joiner.flushes, [...joiner.suspect]]).toEqual([1, []])
    expect(joiner.calls.indexOf('flush')).toBeGreaterThan(joiner.calls.lastIndexOf('copyIn'))
    expect(owner.gates.get(3)?.wantsFlush).toBe(true)
    return change.call(owner, order)
  }
  await copy(owner).run()
  expect(owner.inSync).toHaveLength(3)
})

test('return: a suspect member is no source, and without another one there is no copy', async () => {
  const cluster = aCluster()
  const { owner, joiner, survivors } = cluster
  missed(cluster, 3, 1000)
  survivors[0].blocks.set(3, 666)
  survivors[0].suspect.add(0)
  await copy(owner).run()
  expect(joiner.valueOf(3)).toBe(1000)
  const second = aCluster()
  missed(second, 3, 1000)
  for (const brick of second.survivors) brick.suspect.add(0)
  await expect(copy(second.owner).run()).rejects.toThrow('region 0 is suspect on every member')
})

test('return: a block that one source cannot read comes from the other; one that none can is bad there too', async () => {
  const cluster = aCluster()
  const { owner, joiner, survivors } = cluster
  for (let block = 64; block < 72; block++) missed(cluster, block, 1000 + block)
  survivors[0].bad.add(66).add(68)
  survivors[1].bad.add(68)
  await copy(owner).run()
  expect(joiner.valueOf(66)).toBe(1066)
  expect(joiner.calls.filter(call => call === 'markBad')).toHaveLength(1)
  expect(joiner.bad).toEqual(new Set([68]))
  expect(differing(survivors[1], joiner)).toEqual([])
  expect(owner.inSync).toHaveLength(3)
})

test('return: what a source in doubt shows of a block that another gave does not count against the copy', async () => {
  const cluster = aCluster()
  const { owner, joiner, survivors } = cluster
  for (let block = 64; block < 72; block++) missed(cluster, block, 1000 + block)
  survivors[0].bad.add(66)
  survivors[0].suspect.add(40)
  await copy(owner).run()
  expect(differing(survivors[1], joiner)).toEqual([])
  expect(joiner.copiedBlocks).toBe(8)
})

test('return: a full joiner, a refused change and the end of the epoch end the copy', async () => {
  const full = aCluster()
  missed(full, 3, 1000)
  full.joiner.full = true
  await expect(copy(full.owner).run()).rejects.toThrow('peer 3: no space left')
  const refused = aCluster()
  refused.owner.answerToChange = false
  await expect(copy(refused.owner).run()).rejects.toThrow('the set had changed')
  const over = aCluster()
  missed(over, 3, 1000)
  const running = copy(over.owner).run()
  over.owner.ended = true
  await expect(running).rejects.toThrow('the epoch is over')
  for (const { owner } of [full, refused, over]) {
    expect(owner.gates.size).toBe(0)
    expect(owner.queue.isEmpty).toBe(true)
    expect(owner.inSync).toHaveLength(2)
  }
})

test('move: the joiner takes all stamps, and leaving is part of the same change', async () => {
  const { owner, survivors, joiner } = aCluster()
  joiner.blocks.clear()
  joiner.stamps.clear()
  survivors[0].stamps.set(30, 4)
  await copy(owner, { kind: 'move', leaves: 2, since: 0 }).run()
  expect(differing(survivors[0], joiner)).toEqual([])
  expect(joiner.stamps).toEqual(survivors[0].stamps)
  expect(owner.changes).toEqual([{ ranges: [0], joins: 3, leaves: 2 }])
  expect(owner.inSync.map(({ peerNumber }) => peerNumber)).toEqual([1, 3])
})

test('budget: what a copy has moved is taken before it goes on', async () => {
  const cluster = aCluster()
  for (let block = 0; block < 640; block++) missed(cluster, block, 5000 + block)
  const taken: number[] = []
  const budget = {
    async take(bytes: number) {
      taken.push(bytes)
      await new Promise(setImmediate)
    },
  }
  await new Copy(RETURN, cluster.owner, new ManualTimers(), budget).run()
  expect(taken.filter(bytes => bytes === REGION)).toHaveLength(10)
  expect(Math.min(...taken)).toBeGreaterThan(0)
})

test('budget: what is taken beyond it is waited for', async () => {
  const timers = new ManualTimers()
  const budget = new SharedBudget(1024 * 1024, timers)
  await budget.take(4 * 1024 * 1024)
  let ready = false
  const waiting = budget.take(1024 * 1024).then(() => {
    ready = true
  })
  timers.pass(999)
  await Promise.resolve()
  expect(ready).toBe(false)
  timers.pass(1)
  await waiting
  expect(ready).toBe(true)
})

test('gate: a write that was on its way when the copy began is in the copy set', async () => {
  const { owner, survivors, joiner } = aCluster()
  let arrive: () => void = () => undefined
  const arrival = new Promise<void>(resolve => {
    arrive = resolve
  })
  owner.onTheWay = () => arrival
  const writing = owner.write(400, 1, 4242)
  await new Promise(setImmediate)
  const running = copy(owner).run()
  setTimeout(() => arrive(), 20)
  owner.onTheWay = () => Promise.resolve()
  await running
  await writing
  expect([survivors[0].valueOf(400), joiner.valueOf(400)]).toEqual([4242, 4242])
})

test('gate: no write that crosses the copying is lost, wherever the joiner dies, and it ends up equal', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed)
    const cluster = aCluster()
    const { owner, joiner, survivors } = cluster
    for (let i = 0; i < 40; i++)
      missed(cluster, Math.floor(random() * 640), 1 + i, 5 + Math.floor(random() * 4))
    let alive = true
    let untilDeath = random() < 0.6 ? Math.floor(random() * 60) : Number.POSITIVE_INFINITY
    for (const brick of owner.bricks) {
      brick.turn = async () => {
        for (let turns = Math.floor(random() * 4); turns > 0; turns--) await new Promise(setImmediate)
        if (brick !== joiner) return
        if (untilDeath-- <= 0) alive = false
        if (!alive) throw new Error('the link is gone')
      }
    }
    let value = 10_000
    const writing: Promise<void>[] = []
    let stop = false
    const writer = (async () => {
      while (!stop) {
        const block = Math.floor(random() * 2000)
        writing.push(owner.write(block, 1 + Math.floor(random() * 80), value++))
        await new Promise(setImmediate)
      }
    })()
    while (owner.inSync.length < 3) {
      const died = await copy(owner)
        .run()
        .then(
          () => false,
          () => true,
        )
      if (!died) break
      owner.generation++
      alive = true
      untilDeath = random() < 0.5 ? Math.floor(random() * 100) : Number.POSITIVE_INFINITY
    }
    untilDeath = Number.POSITIVE_INFINITY
    stop = true
    await writer
    await Promise.all(writing)
    expect(differing(survivors[0], survivors[1])).toEqual([])
    expect(differing(survivors[0], joiner), `seed ${seed}`).toEqual([])
    expect(owner.queue.isEmpty).toBe(true)
  }
})

test('sizes: a volume that ends within a region is copied to its end', async () => {
  const cluster = aCluster()
  cluster.owner.sizeBytes = 9 * REGION + 5 * BLOCK
  missed(cluster, 9 * BLOCKS_PER_REGION + 4, 77)
  await copy(cluster.owner).run()
  expect(cluster.joiner.valueOf(9 * BLOCKS_PER_REGION + 4)).toBe(77)
})

test('return: a joiner that fails a write while other changes of the set go first does not join', async () => {
  const cluster = aCluster()
  const { owner, joiner } = cluster
  owner.beforeChange = async () => {
    joiner.turn = () => Promise.reject(new Error('away'))
    await owner.write(3, 1, 4000)
  }
  await expect(copy(owner).run()).rejects.toThrow('the link is gone')
  expect(owner.inSync).not.toContain(joiner)
})

test('gate: a write that fails after its copy has ended leaves the gate of the next copy on', async () => {
  const cluster = aCluster()
  const { owner } = cluster
  missed(cluster, 3, 1000)
  owner.answerToChange = false
  let former: JoinGate | undefined
  owner.beforeChange = async () => {
    former = owner.gates.get(3)
  }
  await expect(copy(owner).run()).rejects.toThrow('the set had changed')
  owner.answerToChange = true
  owner.beforeChange = async () => {
    former!.failed('no space left')
    expect(owner.gates.get(3)).toBeDefined()
  }
  await copy(owner).run()
  expect([owner.inSync.length, owner.gates.size]).toEqual([3, 0])
})

test('return: a joiner that was restarted, and fenced again as a member of other ranges, does not join', async () => {
  for (const when of ['copied', 'asked'] as const) {
    const cluster = aCluster()
    const { owner, joiner } = cluster
    missed(cluster, 3, 1000)
    const restart = async () => {
      joiner.incarnation = 'another process'
    }
    if (when === 'asked') owner.beforeChange = restart
    else joiner.turn = () => (joiner.copiedBlocks > 0 ? restart() : Promise.resolve())
    await expect(copy(owner).run()).rejects.toThrow('its process is another')
    expect(owner.inSync).not.toContain(joiner)
  }
})
