import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeTransportId } from '../../src/scsi/transport-id.ts'
import { Daemon } from '../lib/daemon.ts'
import { IscsiInitiator } from '../lib/iscsi-initiator.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { holdfastDone } from '../lib/programs.ts'
import { reserveOutList } from '../lib/scsi-device.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

const BLOCK = 512
const SLOW = ['--no-demo', '--store-sanitize-bandwidth', '1MiB']
const FAST = ['--no-demo', '--store-sanitize-bandwidth', '1GiB']
const IMMED = 0x80
const testUnitReady = [0, 0, 0, 0, 0, 0]
const sanitizing = [0x2, 0x04, 0x1b]
const restarted = [0x6, 0x29, 0x00]

let directory: TemporaryDirectory
let daemon: Daemon

beforeAll(async () => {
  directory = temporaryDirectory('outlives')
  daemon = await Daemon.start({ directory: directory.path, arguments: SLOW })
  for (const name of ['wiped', 'reserved']) await holdfastDone(daemon, 'volume', 'create', name, '32MiB')
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

function login(volume: string, isid = '400000000001'): Promise<IscsiInitiator> {
  return IscsiInitiator.connect(daemon.iscsi[0]!).then(async initiator => {
    await initiator.login({ target: `iqn.2026-11.io.holdfast:${volume}`, isid })
    return initiator
  })
}

/** Status, and [key, ASC, ASCQ] of its sense. */
async function run(initiator: IscsiInitiator, cdb: readonly number[], data?: Buffer) {
  initiator.command(cdb, data === undefined ? {} : { write: data.length, data })
  const { bhs, data: sense } = await initiator.receive(30_000)
  const code = sense.length < 16 ? null : [sense[4]! & 0x0f, sense[14]!, sense[15]!]
  return { status: bhs[3]!, code }
}

function nbdClient(volume: string): Promise<NbdClient> {
  return NbdClient.open(Number(daemon.nbd.slice(daemon.nbd.lastIndexOf(':') + 1)), 'structured', volume)
}

test('a sanitize refuses iSCSI and NBD, goes on after kill -9 and ends with its pattern', async () => {
  const initiator = await login('wiped')
  using nbd = await nbdClient('wiped')
  expect(await nbd.writeAt(0, Buffer.alloc(4096, 1))).toBe(0)
  const list = Buffer.concat([Buffer.of(1, 0, 2, 0), Buffer.alloc(BLOCK, 0xa5)])
  const begun = await run(initiator, [0x48, IMMED | 0x01, 0, 0, 0, 0, 0, 2, 4, 0], list)
  expect(begun.status).toBe(0)
  expect((await run(initiator, testUnitReady)).code).toEqual(sanitizing)
  await expect(nbd.readAt(0, 4096)).rejects.toThrow('read failed with 5')

  await daemon.kill()
  daemon = await daemon.restart({ arguments: SLOW })
  const again = await login('wiped')
  expect((await run(again, testUnitReady)).code).toEqual(restarted)
  expect((await run(again, testUnitReady)).code).toEqual(sanitizing)
  using refused = await nbdClient('wiped')
  await expect(refused.readAt(0, 4096)).rejects.toThrow('read failed with 5')

  expect(await daemon.stop()).toBe(0)
  daemon = await daemon.restart({ arguments: FAST })
  const last = await login('wiped')
  await expect
    .poll(async () => (await run(last, testUnitReady)).status, { timeout: 30_000, interval: 200 })
    .toBe(0)
  using wiped = await nbdClient('wiped')
  expect(await wiped.readAt(0, 4096)).toEqual(Buffer.alloc(4096, 0xa5))
  expect(await wiped.readAt(32 * 2 ** 20 - 4096, 4096)).toEqual(Buffer.alloc(4096, 0xa5))
})

test('reservations with APTPL hold after kill -9, for ports that another one registered', async () => {
  const APTPL_AND_PORTS = 0x09
  const RESERVATION_CONFLICT = 0x18
  const [one, two] = [await login('reserved', '40000000000a'), await login('reserved', '40000000000b')]
  for (const initiator of [one, two]) await run(initiator, testUnitReady)
  const id = encodeTransportId({ initiatorName: 'iqn.2026-11.test:initiator', isid: '40000000000b' })
  const list = Buffer.concat([reserveOutList(0n, 7n, APTPL_AND_PORTS), Buffer.of(0, 0, 0, id.length), id])
  expect((await run(one, [0x5f, 0, 0, 0, 0, 0, 0, 0, list.length, 0], list)).status).toBe(0)
  const exclusive = await run(two, [0x5f, 1, 3, 0, 0, 0, 0, 0, 24, 0], reserveOutList(7n, 0n))
  expect(exclusive.status).toBe(0)

  await daemon.kill()
  daemon = await daemon.restart()
  const [other, holder] = [await login('reserved', '40000000000a'), await login('reserved', '40000000000b')]
  const write = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0]
  for (const initiator of [other, holder]) {
    expect((await run(initiator, testUnitReady)).code).toEqual(restarted)
  }
  expect((await run(other, write, Buffer.alloc(BLOCK))).status).toBe(RESERVATION_CONFLICT)
  expect((await run(holder, write, Buffer.alloc(BLOCK))).status).toBe(0)
  using nbd = await nbdClient('reserved')
  await expect(nbd.readAt(0, 4096)).rejects.toThrow('read failed with 1')
})

test('a store that runs out tells its hosts before, and then fails what it has no space for', async () => {
  using small = temporaryDirectory('scarce')
  await using full = await Daemon.start({
    directory: small.path,
    arguments: ['--no-demo', '--capacity', '64MiB'],
  })
  await holdfastDone(full, 'volume', 'create', 'thin', '128MiB')
  const initiator = await IscsiInitiator.connect(full.iscsi[0]!)
  await initiator.login({ target: 'iqn.2026-11.io.holdfast:thin', keys: { ImmediateData: 'Yes' } })
  const told: number[][] = []
  for (let at = 0; at < 400; at++) {
    const lba = at * BLOCK
    const write = [0x2a, 0, lba >> 24, (lba >> 16) & 0xff, (lba >> 8) & 0xff, lba & 0xff, 0, 0, 8, 0]
    const { code } = await run(initiator, write, Buffer.alloc(8 * BLOCK, 1))
    if (code !== null) told.push(code)
    if (code?.[1] === 0x27) break
  }
  expect(told).toEqual([
    [0x6, 0x38, 0x07],
    [0x7, 0x27, 0x07],
  ])
})
