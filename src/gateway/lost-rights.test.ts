import { expect, test } from 'vitest'
import { GatewayWorld, io, read, write } from '../../test/lib/gateway-world.ts'
import { BlockKind } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'

const NAME = 'iqn.2026-11.test:Host'
/** As control has it. */
const LOST = NAME.toLowerCase()
const BYSTANDER = 'iqn.2026-11.test:bystander'
const { ok, unavailable, aborted } = BlockStatus

function initiator(initiatorName: string): ClientIdentity {
  return { protocol: 'iscsi', initiatorName, isid: '400001370000', targetPortalGroupTag: 1 }
}

/** Gateway 1 hears neither owners nor the metadata, as one that is paused. */
function pause(world: GatewayWorld): void {
  world.peer(1).volume.ownerEvent = async () => {}
}

/** What DELETE does: the head says so first, then the owner is told, by gateway 2. */
async function shutOut(world: GatewayWorld): Promise<void> {
  world.rightsVersion++
  world.peer(2).rightsVersion = world.rightsVersion
  await world.peer(2).volume.fence(LOST, world.rightsVersion)
}

test('lost rights: from the answer on a paused gateway writes nothing of the initiator, and all of the others', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [lost, other] = [world.open(1, initiator(NAME)), world.open(1, initiator(BYSTANDER))]
  expect([await write(lost, 0, 1), await write(other, 4096, 1)]).toEqual([ok, ok])
  pause(world)
  await shutOut(world)
  expect(await write(lost, 0, 9)).toBe(unavailable)
  expect(world.peer(1).dropped).toEqual([NAME])
  expect(await write(other, 4096, 2)).toBe(ok)
  expect(await read(other, 0)).toBe(1)
})

test('lost rights: nor does a session that begins at a gateway which has not heard of it', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  pause(world)
  await shutOut(world)
  const late = world.open(1, initiator(NAME))
  const waiting = write(late, 0, 9)
  await new Promise(resolve => setTimeout(resolve, 250))
  // It hears, its session ends, and with it what waits.
  world.peer(1).rightsVersion = world.rightsVersion
  await late.close()
  expect(await waiting).toBe(aborted)
  const again = world.open(1, initiator(NAME))
  expect(await read(again, 0)).toBe(0)
  expect(await write(again, 0, 2)).toBe(ok)
})

test('lost rights: what is in flight has ended when it is answered', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const lost = world.open(1, initiator(NAME))
  expect(await write(lost, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const slow = io(lost, BlockKind.write, 0, 4096, Buffer.alloc(4096, 2))
  await expect.poll(() => world.bricks.held.length).toBe(1)
  let isAnswered = false
  const answered = shutOut(world).then(() => {
    isAnswered = true
  })
  await new Promise(resolve => setTimeout(resolve, 50))
  expect([isAnswered, world.bricks.held.length]).toEqual([false, 1])
  world.bricks.holdBack = false
  world.bricks.release()
  await answered
  expect((await slow.done).status).toBe(ok)
})

test('lost rights: the next owner knows of them, and the stream that a paused gateway still has is dead', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [lost, other] = [world.open(1, initiator(NAME)), world.open(2, initiator(BYSTANDER))]
  expect([await write(lost, 0, 1), await write(other, 4096, 1)]).toEqual([ok, ok])
  pause(world)
  await shutOut(world)
  await world.takeOver(2)
  expect(await write(other, 4096, 2)).toBe(ok)
  const waiting = write(lost, 0, 9)
  world.peer(1).onDrop = () => void lost.close()
  world.peer(1).rightsVersion = world.rightsVersion
  await expect.poll(() => world.peer(1).dropped).toEqual([NAME])
  expect(await waiting).toBe(aborted)
  expect(await read(other, 0)).toBe(1)
})

test('lost rights: an owner that is none any more does not answer for the next', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const lost = world.open(1, initiator(NAME))
  expect(await write(lost, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const slow = write(lost, 0, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  const answered = shutOut(world)
  await new Promise(resolve => setTimeout(resolve, 30))
  await world.killOwner()
  await world.takeOver(1)
  world.bricks.holdBack = false
  world.bricks.release()
  await answered
  await lost.close()
  await slow
  const before = await read(world.open(2, initiator(BYSTANDER)), 0)
  expect(await write(lost, 0, 9)).toBe(unavailable)
  expect(await read(world.open(2, initiator(BYSTANDER)), 0)).toBe(before)
})

test('lost rights: without an owner that answers nothing is promised', async () => {
  await using world = new GatewayWorld(2, { ownerWaitMs: 200 })
  await expect(shutOut(world)).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
})
