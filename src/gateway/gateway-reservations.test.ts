import { expect, test } from 'vitest'
import { GatewayWorld, initiator, read, realTimers, write } from '../../test/lib/gateway-world.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { Timers } from '../replication/timers.ts'
import { LOOK_MS } from './limits.ts'

const { ok, reservationConflict } = BlockStatus

test('reservations: made by one gateway, they hold at every other and outlive the owner', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [mine, others] = [initiator('holder'), initiator('other')]
  const [holder, other] = [world.open(1, mine), world.open(2, others)]
  const { reservations } = world.peer(1).volume
  expect(
    await reservations.change(mine, {
      do: 'register',
      key: 0n,
      newKey: 0xffff_ffff_ffff_fff1n,
      persist: true,
    }),
  ).toBe('done')
  expect(await reservations.change(mine, { do: 'reserve', key: 0xffff_ffff_ffff_fff1n, type: 1 })).toBe(
    'done',
  )
  expect(await reservations.change(mine, { do: 'reserve', key: 2n, type: 1 })).toBe('conflict')
  for (const { volume } of world.peers) {
    expect((await volume.reservations.current()).reservation?.type).toBe(1)
  }
  for (const owner of [3, 2, 1]) {
    await world.takeOver(owner)
    expect([await write(holder, 0, owner), await write(other, 0, 9)]).toEqual([ok, reservationConflict])
    expect(await read(other, 0)).toBe(owner)
    for (const { volume } of world.peers) {
      await expect.poll(() => volume.reservations.state.registrations[0]?.key).toBe(0xffff_ffff_ffff_fff1n)
      expect(volume.reservations.permits(others, 'write')).toBe(false)
    }
  }
})

/** Whoever waits for longer than a moment waits for ever. */
const patientTimers: Timers = {
  ...realTimers,
  after: (ms, fn) => (ms <= LOOK_MS ? realTimers.after(ms, fn) : { cancel() {} }),
}

test('reservations: a gateway that is down is not waited for, unless it may have commands that are taken back', async () => {
  await using world = new GatewayWorld(3, {}, patientTimers)
  await world.takeOver(1)
  const [mine, victim] = [initiator('holder'), initiator('victim')]
  const { reservations } = world.peer(1).volume
  const register = (newKey: bigint) =>
    ({ do: 'registerAndIgnoreExistingKey', newKey, persist: true }) as const
  expect(await reservations.change(mine, register(1n))).toBe('done')
  await expect.poll(() => world.peer(3).volume.reservations.state.registrations.length).toBe(1)
  await world.peer(3).network[Symbol.asyncDispose]()
  expect(await reservations.change(victim, register(2n))).toBe('done')
  expect(await reservations.change(mine, { do: 'reserve', key: 1n, type: 1 })).toBe('done')
  // Who is reached is told before the answer.
  expect(world.peer(2).volume.reservations.permits(victim, 'write')).toBe(false)

  const preempt = { do: 'preemptAndAbort', key: 1n, victimKey: 2n, type: 1 } as const
  world.peer(3).isRegistered = false
  expect(await reservations.change(mine, preempt)).toBe('done')
  expect(await reservations.change(victim, register(2n))).toBe('done')
  world.peer(3).isRegistered = true
  const waits = reservations.change(mine, preempt).then(() => 'answered')
  await expect.poll(() => reservations.state.registrations.length).toBe(1)
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
  expect(await Promise.race([waits, Promise.resolve('waits')])).toBe('waits')
})

test('RESERVE (6): by any gateway, one holder, until it is gone', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [mine, others] = [initiator('holder'), initiator('other')]
  const [holder, other] = [world.open(1, mine), world.open(2, others)]
  expect(await write(holder, 0, 1)).toBe(ok)
  expect(await world.peer(1).volume.reservations.reserveUnit(mine)).toBe(true)
  expect(await world.peer(2).volume.reservations.reserveUnit(others)).toBe(false)
  expect(await write(other, 0, 2)).toBe(reservationConflict)
  expect(await write(holder, 0, 3)).toBe(ok)
  await holder.close()
  await expect.poll(() => write(other, 0, 2)).toBe(ok)
})

test('RESERVE (6): ends with the owner and with a reset, and its holder is told, by whatever gateway', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [mine, others] = [initiator('holder'), initiator('other')]
  const told: string[] = []
  for (const { number, volume } of world.peers) {
    volume.reservations.listen({
      reservationNotice: () => {},
      abortTasksOf: async () => {},
      unitReservationChanged: lostBy => {
        if (lostBy !== null) told.push(`${number} ${lostBy === mine ? 'holder' : 'other'}`)
      },
    })
  }
  const [first, second] = [world.peer(1).volume.reservations, world.peer(2).volume.reservations]
  world.open(1, mine)
  world.open(2, others)
  // From a remote owner to one in this process, from there to a remote one again.
  for (const owner of [1, 2]) {
    expect(await first.reserveUnit(mine)).toBe(true)
    expect(await second.reserveUnit(others)).toBe(false)
    await world.takeOver(owner)
    await expect.poll(() => told.splice(0)).toEqual(['1 holder'])
    expect(first.isUnitReserved).toBe(false)
  }
  // The owner is peer 2: a reset there, one here, and one by a gateway that neither the owner nor the holder is at.
  for (const resetting of [2, 1, 3]) {
    expect(await first.reserveUnit(mine)).toBe(true)
    await expect.poll(() => world.peer(3).volume.reservations.isUnitReserved).toBe(true)
    world.peer(resetting).volume.reservations.endUnitReservation()
    await expect.poll(() => told.splice(0)).toEqual(['1 holder'])
    await expect.poll(() => world.peer(3).volume.reservations.isUnitReserved).toBe(false)
  }
  // Giving it back is nobody's loss.
  expect(await second.reserveUnit(others)).toBe(true)
  second.releaseUnit(others)
  await expect.poll(async () => first.reserveUnit(mine)).toBe(true)
  first.releaseUnit(mine)
  expect(await first.reserveUnit(mine)).toBe(true)
  await expect.poll(() => second.isUnitReserved).toBe(true)
  expect(told).toEqual([])
})
