import { expect, test } from 'vitest'
import { GatewayWorld } from '../../test/lib/gateway-world.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { OwnerEvent } from './messages.ts'

type Deliver = (epoch: number, event: OwnerEvent) => Promise<void>

/** The owner is peer 1; what it tells the gateway of peer 2 goes through `between`. */
async function toldThrough(between: (deliver: Deliver) => Deliver) {
  const world = new GatewayWorld(2)
  await world.takeOver(1)
  const { volume } = world.peer(2)
  await volume.whenAttached()
  volume.ownerEvent = between(volume.ownerEvent.bind(volume))
  const [owned] = world.peer(1).gateway.ownedVolumes
  return { world, volume, owned: owned! }
}

test('owner states: one that is told again after it was not answered is as the volume is by then', async () => {
  let told = 0
  const { world, volume, owned } = await toldThrough(deliver => async (epoch, event) => {
    if (++told === 1) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    await deliver(epoch, event)
  })
  await using _ = world
  owned.setReadOnly(true)
  await expect.poll(() => told).toBe(1)
  owned.setReadOnly(false)
  await expect.poll(() => told).toBe(3)
  expect(volume.readOnly).toBe(false)
})

test('owner states: an older one that comes late says nothing', async () => {
  const late: (() => Promise<void>)[] = []
  const { world, volume, owned } = await toldThrough(deliver => async (epoch, event) => {
    late.push(() => deliver(epoch, event))
  })
  await using _ = world
  owned.setReadOnly(true)
  await expect.poll(() => late.length).toBe(1)
  owned.setReadOnly(false)
  await expect.poll(() => late.length).toBe(2)
  const [older, newer] = late
  await newer!()
  await older!()
  expect(volume.readOnly).toBe(false)
})

test('owner states: one that overtakes the answer to a gateway that attaches counts', async () => {
  const told: [number, OwnerEvent][] = []
  const { world, volume, owned } = await toldThrough(deliver => async (epoch, event) => {
    told.push([epoch, event])
    await deliver(epoch, event)
  })
  await using _ = world
  owned.setReadOnly(true)
  await expect.poll(() => volume.readOnly).toBe(true)
  owned.setReadOnly(false)
  await expect.poll(() => volume.readOnly).toBe(false)
  const [before, event] = told[0] as [number, Extract<OwnerEvent, { is: 'state' }>]
  const epoch = before + 1
  await volume.ownerEvent(epoch, { is: 'state', state: { ...event.state, epoch, number: 9 } })
  expect(volume.readOnly).toBe(false)
  await world.takeOver(1)
  await expect.poll(() => volume.readOnly).toBe(true)
})
