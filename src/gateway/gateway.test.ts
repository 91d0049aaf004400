import { expect, test } from 'vitest'
import { GatewayWorld, io, read, SIZE, write } from '../../test/lib/gateway-world.ts'
import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'

const NBD: ClientIdentity = { protocol: 'nbd', name: 'client' }

function initiator(name: string, isid = '400001370000'): ClientIdentity {
  return { protocol: 'iscsi', initiatorName: `iqn.2026-11.test:${name}`, isid, targetPortalGroupTag: 1 }
}

const { ok, inDoubt, unavailable, miscompare, aborted, outOfRange, reservationConflict, writesLost } =
  BlockStatus

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
