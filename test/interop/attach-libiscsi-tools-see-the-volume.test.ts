import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Daemon, IQN_PREFIX } from '../lib/daemon.ts'
import { freePort } from '../lib/free-port.ts'
import { holdfastDone, run, succeed } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

let directory: TemporaryDirectory
let daemon: Daemon

beforeAll(async () => {
  directory = temporaryDirectory('attach')
  const iscsi = [
    `127.0.0.1:${await freePort()}`,
    `127.0.0.1:${await freePort()}`,
    `[::1]:${await freePort('::1')}`,
  ]
  daemon = await Daemon.start({ directory: directory.path, iscsi })
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

describe('discovery', () => {
  test('iscsi-ls -s: every portal of the group is listed, with the LUN and its size', async () => {
    const listing = await succeed('iscsi-ls', ['-s', `iscsi://${daemon.iscsi[0]}`])
    for (const portal of daemon.iscsi) expect(listing).toContain(`Target:${IQN_PREFIX}demo Portal:${portal},`)
    expect(listing).toMatch(/Lun:0 +Type:DIRECT_ACCESS \(Size:1023M\)/)
  })

  test('iscsi-ls: asking the IPv6 portal works like any other', async () => {
    const listing = await succeed('iscsi-ls', [`iscsi://${daemon.iscsi[2]}`])
    expect(listing).toContain(`Target:${IQN_PREFIX}demo Portal:${daemon.iscsi[2]},`)
  })
})

describe('iscsi-inq', () => {
  test('standard data names a disk of ours', async () => {
    const text = await succeed('iscsi-inq', [daemon.url('demo')])
    expect(text).toMatch(/Peripheral Device Type:DIRECT_ACCESS/)
    expect(text).toMatch(/Vendor:HOLDFAST/i)
  })

  test.each([1, 2])('portal %i tells the same identity as portal 0', async portal => {
    const identity = (at: number) =>
      succeed('iscsi-inq', ['-e', '1', '-c', String(0x83), daemon.url('demo', { portal: at })])
    const text = await identity(portal)
    expect(text).toMatch(/Designator Type:\(3\) NAA/)
    expect(text).toBe(await identity(0))
  })

  // Those that iscsi-inq can decode; 86h is not among them.
  test.each(['00', '80', '83', 'b0', 'b1', 'b2'])('VPD page %sh is there', async page => {
    await succeed('iscsi-inq', ['-e', '1', '-c', String(Number.parseInt(page, 16)), daemon.url('demo')])
  })

  test('a LUN that the target lacks has no device behind it', async () => {
    const { code, stdout, stderr } = await run('iscsi-inq', [daemon.url('demo', { lun: 5 })])
    expect(code).not.toBe(0)
    expect(stdout + stderr).toContain('LOGICAL_UNIT_NOT_SUPPORTED')
  })

  test('a target that does not exist is refused', async () => {
    const { code, stdout, stderr } = await run('iscsi-inq', [daemon.url('nobody')])
    expect(code).not.toBe(0)
    expect(stdout + stderr).toMatch(/target not found/i)
  })
})

test('iscsi-readcapacity16: 1 GiB of 512-byte blocks in 4 KiB physical ones', async () => {
  const text = await succeed('iscsi-readcapacity16', [daemon.url('demo')])
  expect(text).toContain('Total size:1073741824')
  expect(text).toMatch(/RETURNED LOGICAL BLOCK ADDRESS:2097151/)
  expect(text).toMatch(/LOGICAL BLOCK LENGTH IN BYTES:512/)
  expect(text).toMatch(/LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT:3/)
})

test('iscsi-perf: random reads 32 deep all succeed', async () => {
  const text = await succeed('iscsi-perf', ['-m', '32', '-b', '8', '-t', '2', '-r', daemon.url('demo')])
  expect(text).toMatch(/iops average [1-9]/)
})

test('a volume of 4096-byte blocks reports them', async () => {
  await holdfastDone(daemon, 'volume', 'create', 'large-blocks', '64MiB', '--block-size', '4096')
  const text = await succeed('iscsi-readcapacity16', [daemon.url('large-blocks')])
  expect(text).toMatch(/LOGICAL BLOCK LENGTH IN BYTES:4096/)
  expect(text).toContain('Total size:67108864')
})

test('several volumes are LUNs of one target', async () => {
  await holdfastDone(daemon, 'volume', 'create', 'first', '32MiB')
  await holdfastDone(daemon, 'volume', 'create', 'second', '64MiB')
  await holdfastDone(daemon, 'target', 'lun', 'add', 'first', '7', 'second')
  const text = await succeed('iscsi-readcapacity16', [daemon.url('first', { lun: 7 })])
  expect(text).toContain('Total size:67108864')
})
