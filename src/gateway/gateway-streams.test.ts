import { expect, test } from 'vitest'
import { GatewayWorld, initiator, read, write } from '../../test/lib/gateway-world.ts'
import { BlockStatus } from '../block/block-status.ts'

const { ok, unavailable, aborted } = BlockStatus

test('streams: an initiator that writes by another gateway ends what it had at the first', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const host = initiator('multipath')
  const [old, other] = [world.open(1, host), world.open(1, initiator('bystander'))]
  expect([await write(old, 0, 1), await write(other, 4096, 1)]).toEqual([ok, ok])
  const moved = world.open(2, host)
  expect(await read(moved, 0)).toBe(1)
  expect(world.peer(1).dropped).toEqual([])
  expect(await write(moved, 0, 2)).toBe(ok)
  await expect.poll(() => world.peer(1).dropped).toEqual(['iqn.2026-11.test:multipath'])
  expect(await write(old, 0, 9)).toBe(unavailable)
  expect([await read(moved, 0), await write(other, 4096, 3)]).toEqual([2, ok])
  const back = world.open(1, host)
  expect(await write(back, 0, 4)).toBe(ok)
  await expect.poll(() => world.peer(2).dropped).toEqual(['iqn.2026-11.test:multipath'])
})

test('streams: a paused gateway that passes on a dead connection is refused by number', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const host = initiator('multipath')
  const old = world.open(1, host)
  expect(await write(old, 0, 1)).toBe(ok)
  // The first gateway hears nothing of what follows.
  const { volume } = world.peer(1)
  volume.ownerEvent = async () => {}
  const moved = world.open(2, host)
  expect(await write(moved, 0, 2)).toBe(ok)
  expect(await write(old, 0, 9)).toBe(unavailable)
  expect(world.peer(1).dropped).toEqual(['iqn.2026-11.test:multipath'])
  expect(await read(moved, 0)).toBe(2)
})

test('streams: the older number is dead only when nothing of it is in flight any more', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const host = initiator('multipath')
  const old = world.open(1, host)
  expect(await write(old, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const slow = write(old, 0, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  const moved = world.open(2, host)
  let hasMoved = false
  const written = write(moved, 8192, 3).then(status => {
    hasMoved = true
    return status
  })
  await new Promise(resolve => setTimeout(resolve, 30))
  expect([hasMoved, world.bricks.held.length]).toEqual([false, 1])
  world.bricks.holdBack = false
  world.bricks.release()
  expect([await slow, await written]).toEqual([ok, ok])
})

test('streams: a gateway that was away through the window drops its clients', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const handle = world.open(1, initiator('late'))
  expect(await write(handle, 0, 1)).toBe(ok)
  const { network, dropped } = world.peer(1)
  const real = network.link.bind(network)
  const down = {
    isUp: false,
    connection: 0,
    identity: null,
    peerNumber: 2,
    send() {},
    reset() {},
    onChange: (fn: () => void) => real(2).onChange(fn),
  }
  network.link = () => down
  await world.takeOver(2)
  await new Promise(resolve => setTimeout(resolve, 120))
  // Its session ends with its connection, and with it what still waits.
  const waiting = write(handle, 0, 9)
  world.peer(1).onDrop = () => void handle.close()
  network.link = real
  world.peer(1).ownerChanged()
  await expect.poll(() => dropped).toEqual(['iqn.2026-11.test:late'])
  expect(await waiting).toBe(aborted)
  expect(await write(handle, 0, 2)).toBe(unavailable)
})

test('streams: one that an owner in between never numbered is dead at the next', async () => {
  await using world = new GatewayWorld(3, { resumeWindowMs: 150 })
  await world.takeOver(3)
  const handle = world.open(1, initiator('late'))
  expect(await write(handle, 0, 1)).toBe(ok)
  await world.takeOver(2)
  await world.takeOver(3)
  await expect.poll(() => world.peer(1).dropped).toEqual(['iqn.2026-11.test:late'])
  expect(await write(handle, 0, 2)).toBe(unavailable)
  expect(await write(world.open(1, initiator('late')), 0, 3)).toBe(ok)
})
