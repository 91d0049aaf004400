import { expect, test } from 'vitest'
import { GatewayWorld, initiator, io, read, SIZE, write } from '../../test/lib/gateway-world.ts'
import { cdb } from '../../test/lib/scsi-device.ts'
import { ScsiInitiator } from '../../test/lib/scsi-initiator.ts'
import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { ScsiStatus } from '../scsi/scsi-command.ts'
import { TargetDevice } from '../scsi/target-device.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { VolumeHandle } from '../volume/volume.ts'

const NBD: ClientIdentity = { protocol: 'nbd', name: 'client' }

const { ok, inDoubt, unavailable, miscompare, aborted, outOfRange, writesLost } = BlockStatus

test('routing: what is written by one gateway is read by every other, whoever owns the volume', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(2)
  const handles = [1, 2, 3].map(gateway => world.open(gateway, initiator(`host-${gateway}`)))
  for (const [index, handle] of handles.entries()) {
    expect(await write(handle, index * 8192, index + 1)).toBe(ok)
    for (const other of handles) expect(await read(other, index * 8192)).toBe(index + 1)
  }
  expect(await write(handles[0]!, 100 * 512, 9, 512)).toBe(ok)
  expect(await read(handles[2]!, 100 * 512, 512)).toBe(9)
})

test('routing: every kind of operation is carried out at the owner', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const handle = world.open(1, initiator('host'))
  const status = async (kind: BlockKind, data?: Buffer) => (await io(handle, kind, 0, 4096, data).done).status
  expect(await status(BlockKind.write, Buffer.alloc(4096, 1))).toBe(ok)
  expect(await status(BlockKind.verify, Buffer.alloc(4096, 1))).toBe(ok)
  expect(await status(BlockKind.orWrite, Buffer.alloc(4096, 2))).toBe(ok)
  expect(await read(handle, 0)).toBe(3)
  const compare = Buffer.concat([Buffer.alloc(4096, 3), Buffer.alloc(4096, 7)])
  expect(await status(BlockKind.compareAndWrite, compare)).toBe(ok)
  expect(await read(handle, 0)).toBe(7)
  const { status: different, failedAtBytes } = await io(handle, BlockKind.compareAndWrite, 0, 4096, compare)
    .done
  expect([different, failedAtBytes]).toEqual([miscompare, 0])
  expect(await status(BlockKind.trim)).toBe(ok)
  expect(await read(handle, 0)).toBe(0)
  expect(await status(BlockKind.zero)).toBe(ok)
  expect(await status(BlockKind.flush)).toBe(ok)
  expect((await io(handle, BlockKind.read, SIZE, 512).done).status).toBe(outOfRange)
  expect(await handle.extents(512, 1024)).toEqual([{ offsetBytes: 512, lengthBytes: 1024, mapped: true }])
})

test('routing: operations wait for an owner, and fail when none comes in time', async () => {
  await using world = new GatewayWorld(2, { ownerWaitMs: 1_500 })
  const handle = world.open(1, initiator('host'))
  const early = write(handle, 0, 1)
  await new Promise(resolve => setTimeout(resolve, 30))
  await world.takeOver(2)
  expect(await early).toBe(ok)
  await world.release()
  expect(await write(handle, 0, 2)).toBe(unavailable)
})

test('extents: whoever asks waits for an owner as a read does, and hears what cannot be answered at once', async () => {
  await using world = new GatewayWorld(2, { ownerWaitMs: 1_500 })
  const handle = world.open(1, initiator('host'))
  const early = handle.extents(0, 4096)
  await new Promise(resolve => setTimeout(resolve, 30))
  await world.takeOver(2)
  expect(await early).toEqual([{ offsetBytes: 0, lengthBytes: 4096, mapped: true }])
  await expect(handle.extents(SIZE, 4096)).rejects.toThrow('the range ends past the end of the volume')
  await world.release()
  const late = handle.extents(0, 4096)
  await world.takeOver(1)
  expect(await late).toEqual([{ offsetBytes: 0, lengthBytes: 4096, mapped: true }])
  await world.release()
  await expect(handle.extents(0, 4096)).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
})

test('users: each gateway tells the others who has the volume open there, and one that is gone is no answer', async () => {
  await using world = new GatewayWorld(3)
  const { volume } = world.peer(1)
  // The links come up in their own time.
  await expect.poll(() => volume.usersElsewhere().catch(() => null)).toEqual([])
  world.open(1, initiator('here'))
  const [one, ...rest] = [
    world.open(2, initiator('a')),
    world.open(2, initiator('a', '5')),
    world.open(3, NBD),
  ]
  expect((await volume.usersElsewhere()).toSorted()).toEqual(['client', 'iqn.2026-11.test:a'])
  for (const handle of rest) await handle.close()
  expect(await volume.usersElsewhere()).toEqual(['iqn.2026-11.test:a'])
  await one!.close()
  expect(await volume.usersElsewhere()).toEqual([])
  await world.peer(3).network[Symbol.asyncDispose]()
  await expect(volume.usersElsewhere()).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
})

test('change of owner: clients go on, by any gateway, and lose nothing', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(1)
  const [one, two] = [world.open(1, initiator('a')), world.open(2, initiator('b'))]
  let value = 0
  for (const owner of [2, 3, 1, 2]) {
    const running = [write(one, 0, ++value), write(two, 8192, value)]
    await world.takeOver(owner)
    expect(await Promise.all(running)).toEqual([ok, ok])
    expect([await read(two, 0), await read(one, 8192)]).toEqual([value, value])
  }
})

test('owner killed: writes in doubt are repeated before anything new and answered', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [one, two] = [world.open(1, initiator('a')), world.open(2, initiator('b'))]
  expect([await write(one, 0, 1), await write(two, 4096, 1)]).toEqual([ok, ok])
  world.bricks.holdBack = true
  const doubtful = write(one, 0, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  await world.killOwner()
  // It had reached the bricks after all.
  world.bricks.release()
  const later = write(two, 0, 3)
  world.bricks.holdBack = false
  await world.takeOver(2)
  expect([await doubtful, await later]).toEqual([ok, ok])
  expect(await read(one, 0)).toBe(3)
})

test('owner gone: a write that it carried out in place, and that others have overwritten, is not repeated', async () => {
  await using world = new GatewayWorld(3)
  world.bricks.neverInline = false
  await world.takeOver(2)
  const [far, near] = [world.open(1, initiator('a')), world.open(2, initiator('b'))]
  expect([await write(far, 0, 1), await write(near, 4096, 1)]).toEqual([ok, ok])
  let takeover = null as Promise<void> | null
  world.carriedOut = () => {
    world.carriedOut = () => {}
    // Its answer is lost with the connection, and the owner goes before it can be asked.
    world.peer(1).network.link(2).reset()
    expect(near.writeNow(0, 4096, Buffer.alloc(4096, 3), 0)).toBe(ok)
    takeover = world.takeOver(3)
  }
  expect(await write(far, 0, 2)).toBe(ok)
  await takeover
  expect(await read(near, 0)).toBe(3)
})

test.each(['absent', 'begun'] as const)(
  'abort: what a former owner was sent, and by its members is %s, is not repeated and stays in doubt',
  async fate => {
    await using world = new GatewayWorld(3)
    await world.takeOver(3)
    const handle = world.open(1, NBD)
    expect(await write(handle, 0, 1)).toBe(ok)
    world.bricks.holdBack = true
    const doubtful = io(handle, BlockKind.write, 0, 4096)
    await expect.poll(() => world.bricks.held.length).toBe(1)
    await world.killOwner()
    world.fateInstead = fate
    // Its connection ends: nobody has to look, and other connections of the client go on.
    void handle.close()
    world.bricks.holdBack = false
    await world.takeOver(2)
    expect([(await doubtful.done).status, world.peer(1).dropped]).toEqual([inDoubt, []])
    expect(world.bricks.bytes[0]).toBe(1)
  },
)

test('owner killed: COMPARE AND WRITE is done if the replicas remember it, and in doubt if not', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const handle = world.open(1, initiator('a'))
  expect(await write(handle, 0, 1)).toBe(ok)
  const swap = (from: number, to: number) =>
    io(
      handle,
      BlockKind.compareAndWrite,
      0,
      4096,
      Buffer.concat([Buffer.alloc(4096, from), Buffer.alloc(4096, to)]),
    )
  world.bricks.holdBack = true
  const found = swap(1, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  world.bricks.release()
  await expect.poll(() => world.bricks.held.length).toBe(1)
  await world.killOwner()
  world.bricks.holdBack = false
  world.bricks.release()
  await world.takeOver(2)
  expect((await found.done).status).toBe(ok)
  expect(await read(handle, 0)).toBe(2)

  world.bricks.holdBack = true
  const lost = swap(2, 5)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  await world.killOwner()
  await world.takeOver(1)
  world.bricks.holdBack = false
  expect((await lost.done).status).toBe(inDoubt)
  expect(await read(handle, 0)).toBe(2)
})

test('connection lost, owner alive: what was done is answered once, what was not is sent again', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const handle = world.open(1, initiator('a'))
  expect(await write(handle, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const first = write(handle, 0, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  const link = world.peer(1).network.link(2)
  link.reset()
  const second = write(handle, 4096, 3)
  world.bricks.holdBack = false
  world.bricks.release()
  expect([await first, await second]).toEqual([ok, ok])
  expect([await read(handle, 0), await read(handle, 4096)]).toEqual([2, 3])
  const writes = world.bricks.log.filter(entry => entry === `${BlockKind.write}@0+4096`)
  expect(writes.length).toBe(2)
})

test('NBD: what stays in doubt ends the connection', async () => {
  await using world = new GatewayWorld(2, { ownerWaitMs: 200 })
  await world.takeOver(2)
  const handle = world.open(1, NBD)
  expect(await write(handle, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const doubtful = write(handle, 0, 2)
  await expect.poll(() => world.bricks.held.length).toBe(1)
  await world.killOwner()
  expect(await doubtful).toBe(inDoubt)
  expect(world.peer(1).dropped).toEqual(['nbd'])
})

test('abort: what waits is taken back, and what is at the owner is asked back', async () => {
  await using world = new GatewayWorld(2)
  const handle = world.open(1, initiator('a'))
  const waiting = io(handle, BlockKind.write, 0, 4096)
  handle.abort(waiting.operation)
  expect((await waiting.done).status).toBe(aborted)
  await world.takeOver(2)
  expect(await write(handle, 0, 1)).toBe(ok)
  world.bricks.holdBack = true
  const first = io(handle, BlockKind.write, 0, 4096, Buffer.alloc(4096, 2))
  const second = io(handle, BlockKind.write, 0, 4096, Buffer.alloc(4096, 3))
  await expect.poll(() => world.bricks.held.length).toBe(1)
  handle.abort(second.operation)
  expect((await second.done).status).toBe(aborted)
  world.bricks.holdBack = false
  world.bricks.release()
  expect((await first.done).status).toBe(ok)
  expect(await read(handle, 0)).toBe(2)
})

test('abort: however often and whyever an operation is ended, it is answered once', async () => {
  await using world = new GatewayWorld(3)
  const host = initiator('multipath')
  const handle = world.open(1, host)
  const answers: BlockStatus[] = []
  const submit = () => {
    const operation = new BlockOperation({ blockDone: ({ status }) => void answers.push(status) })
    handle.submit(
      Object.assign(operation, { kind: BlockKind.write, lengthBytes: 4096, data: Buffer.alloc(4096) }),
    )
    return operation
  }
  const twice = submit()
  handle.abort(twice)
  handle.abort(twice)
  await expect.poll(() => answers).toEqual([aborted])

  await world.takeOver(3)
  expect(await write(handle, 0, 1)).toBe(ok)
  expect(await write(world.open(2, host), 0, 2)).toBe(ok)
  await expect.poll(() => world.peer(1).dropped.length).toBe(1)
  // Its connection is gone: what it had sent is aborted as well.
  handle.abort(submit())
  await handle.close()
  expect(answers).toEqual([aborted, unavailable])
})

test('lost writes: the next flush of who had unflushed ones fails, once, and NBD is closed', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const [dirty, clean, nbd] = [
    world.open(1, initiator('a')),
    world.open(1, initiator('b')),
    world.open(1, NBD),
  ]
  const flush = async (handle: typeof dirty) => (await io(handle, BlockKind.flush, 0, 0).done).status
  expect([await write(dirty, 0, 1), await write(clean, 4096, 1), await write(nbd, 8192, 1)]).toEqual([
    ok,
    ok,
    ok,
  ])
  expect(await flush(clean)).toBe(ok)
  world.lossGeneration++
  await world.takeOver(1)
  await expect.poll(() => world.peer(1).dropped).toEqual(['nbd'])
  expect([await flush(dirty), await flush(dirty), await flush(clean)]).toEqual([writesLost, ok, ok])
})

test('lost writes: every session of the initiator is told, whichever of them had written', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const [one, two] = ['000000000001', '000000000002'].map(isid => world.open(1, initiator('a', isid)))
  const flush = async (handle: VolumeHandle) => (await io(handle, BlockKind.flush, 0, 0).done).status
  const lose = async (owner: number) => {
    world.lossGeneration++
    await world.takeOver(owner)
    await read(two!, 8192)
  }
  expect(await write(one!, 0, 1)).toBe(ok)
  await lose(1)
  expect([await flush(two!), await flush(one!)]).toEqual([writesLost, writesLost])
  expect([await flush(two!), await flush(one!)]).toEqual([ok, ok])
  // A flush by one session covers what another has written.
  expect([await write(one!, 0, 2), await flush(two!)]).toEqual([ok, ok])
  await lose(2)
  expect([await flush(two!), await flush(one!)]).toEqual([ok, ok])
  // The path that it wrote by has gone since.
  expect(await write(one!, 0, 3)).toBe(ok)
  await one!.close()
  await lose(1)
  expect(await flush(two!)).toBe(writesLost)
})

test('lost writes: a session by another gateway is told, too, until the initiator has flushed what it writes there', async () => {
  await using world = new GatewayWorld(3)
  await world.takeOver(3)
  const [one, two] = [1, 2].map(gateway => world.open(gateway, initiator('a', `00000000000${gateway}`)))
  const flush = async (handle: VolumeHandle) => (await io(handle, BlockKind.flush, 0, 0).done).status
  const lose = async () => {
    world.lossGeneration++
    await world.takeOver(3)
    await read(two!, 8192)
  }
  await read(two!, 0)
  expect(await write(one!, 0, 1)).toBe(ok)
  await lose()
  expect([await flush(two!), await flush(two!)]).toEqual([writesLost, ok])
  // By this gateway it writes for the first time.
  expect([await flush(two!), await write(two!, 0, 2), await flush(two!)]).toEqual([ok, ok, ok])
  await lose()
  expect(await flush(two!)).toBe(ok)
})

test('lost writes: a flush that has waited for the next owner tells of them', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const handle = world.open(1, initiator('a'))
  expect(await write(handle, 0, 1)).toBe(ok)
  await world.release()
  const flush = async () => (await io(handle, BlockKind.flush, 0, 0).done).status
  const waiting = flush()
  world.lossGeneration++
  await world.takeOver(1)
  expect([await waiting, await flush()]).toEqual([writesLost, ok])
})

test('lost writes: a READ with FUA does not take the news from the SYNCHRONIZE CACHE after it', async () => {
  await using world = new GatewayWorld(2)
  await world.takeOver(2)
  const { volume } = world.peer(1)
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const target = new TargetDevice({ name: 'iqn.2026-11.test:disk', identity })
  await target.setUnits(new Map([[0, { volume, readOnly: false }]]))
  const host = new ScsiInitiator(target)
  const forceUnitAccess = 0x08
  await host.run(cdb.write10(0, 8), { dataOut: Buffer.alloc(4096, 1) })
  world.lossGeneration++
  await world.takeOver(1)
  // ALUA tells of the new owner first.
  await expect.poll(async () => (await host.run(cdb.testUnitReady())).status).toBe(ScsiStatus.checkCondition)
  const statuses: number[] = []
  const commands = [cdb.read10(0, 8, forceUnitAccess), cdb.synchronizeCache10(), cdb.synchronizeCache10()]
  for (const bytes of commands) statuses.push((await host.run(bytes)).status)
  expect(statuses).toEqual([ScsiStatus.good, ScsiStatus.checkCondition, ScsiStatus.good])
  await host.leave()
})
