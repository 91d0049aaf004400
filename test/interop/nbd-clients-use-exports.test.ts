import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { holdfast, holdfastDone, holdfastJson, run, succeed } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

const MIB = 2 ** 20
const SIZE_BYTES = 64 * MIB

let directory: TemporaryDirectory
let daemon: Daemon
const file = (name: string) => join(directory.path, name)
const uri = (volume: string) => `nbd://${daemon.nbd}/${volume}`
const unixUri = (volume: string) => `nbd+unix:///${volume}?socket=${file('nbd.sock')}`
const qemuIo = (volume: string, ...commands: string[]) =>
  succeed('qemu-io', ['-f', 'raw', ...commands.flatMap(command => ['-c', command]), uri(volume)])

beforeAll(async () => {
  directory = temporaryDirectory('nbd')
  daemon = await Daemon.start({
    directory: directory.path,
    arguments: ['--no-demo', '--nbd-unix', file('nbd.sock')],
  })
  for (const name of ['disk', 'copy']) await holdfastDone(daemon, 'volume', 'create', name, '64MiB')
  await holdfastDone(daemon, 'volume', 'create', 'large-blocks', '64MiB', '--block-size', '4096')
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

describe('nbdinfo', () => {
  test('--list: every open volume with its size and description', async () => {
    const { exports } = JSON.parse(await succeed('nbdinfo', ['--list', '--json', `nbd://${daemon.nbd}`]))
    const shown = exports.map((one: Record<string, unknown>) => [one['export-name'], one['export-size']])
    expect(shown.sort()).toEqual([
      ['copy', SIZE_BYTES],
      ['disk', SIZE_BYTES],
      ['large-blocks', SIZE_BYTES],
    ])
    expect(exports[0]).toMatchObject({ description: '64MiB', contexts: ['base:allocation'] })
  })

  test.each([
    'cache',
    'df',
    'fast-zero',
    'flush',
    'fua',
    'multi-conn',
    'trim',
    'zero',
    'write',
    'structured-reply',
  ])('--can %s', async feature => {
    expect((await run('nbdinfo', ['--can', feature, uri('disk')])).code).toBe(0)
  })

  test('block sizes are those of the volume', async () => {
    const info = await succeed('nbdinfo', [uri('large-blocks')])
    expect(info).toMatch(
      /block_size_minimum: 4096\s+block_size_preferred: 4096\s+block_size_maximum: 33554432/,
    )
  })

  test('a volume that is not there is refused', async () => {
    const { code, stderr } = await run('nbdinfo', [uri('nothing')])
    expect([code, stderr]).toEqual([1, expect.stringContaining('No such file or directory')])
  })
})

test('nbdcopy: in and out again over several connections, sparse where the image was', async () => {
  const image = Buffer.alloc(SIZE_BYTES)
  randomBytes(9 * MIB).copy(image, 3 * MIB + 512)
  writeFileSync(file('image'), image)
  await succeed('nbdcopy', ['--connections=4', '--flush', file('image'), uri('disk')])
  await succeed('nbdcopy', ['--connections=4', uri('disk'), file('back')])
  expect(readFileSync(file('back')).equals(image)).toBe(true)
  expect(statSync(file('back')).blocks * 512).toBeLessThan(12 * MIB)
  const totals = await succeed('nbdinfo', ['--map', '--totals', unixUri('disk')])
  expect(totals).toMatch(/9441280 +14\.1% +0 +data/)
})

test('qemu-img: map, convert both ways and compare agree, also with iSCSI', async () => {
  await succeed('qemu-img', [
    'convert',
    '-n',
    '-f',
    'raw',
    '-O',
    'raw',
    '-m',
    '8',
    '-W',
    uri('disk'),
    uri('copy'),
  ])
  const same = ['compare', '-f', 'raw', '-F', 'raw']
  expect(await succeed('qemu-img', [...same, uri('copy'), unixUri('disk')])).toContain('identical')
  expect(await succeed('qemu-img', [...same, uri('copy'), daemon.url('copy')])).toContain('identical')
  const map = JSON.parse(await succeed('qemu-img', ['map', '-f', 'raw', '--output=json', uri('disk')]))
  const runs = map.map((run: Record<string, unknown>) => [run.start, run.data, run.zero])
  expect(runs).toEqual([
    [0, false, true],
    [3 * MIB, true, false],
    [12 * MIB + 4096, false, true],
  ])
})

test('qemu-io: write, discard, zeroes with and without holes, flush and FUA do what they say', async () => {
  await qemuIo('disk', 'write -P 7 0 2M', 'flush', 'write -f -P 8 2M 1M', 'read -P 8 2M 1M', 'read -P 7 0 2M')
  await qemuIo('disk', 'discard 64k 64k', 'read -P 0 64k 64k', 'read -P 7 0 64k')
  await qemuIo('disk', 'write -zu 256k 64k', 'write -z 512k 64k', 'read -P 0 256k 64k', 'read -P 0 512k 64k')
  await qemuIo('disk', 'write -P 9 1024 512', 'read -P 7 0 1024', 'read -P 9 1024 512', 'read -P 7 1536 512')
})

test.each(['randwrite', 'randrw'])(
  'fio %s: what was written is read back, checked by CRC32C',
  async pattern => {
    const job = [
      '--name=verify',
      '--ioengine=nbd',
      `--uri=${uri('copy')}`,
      `--rw=${pattern}`,
      '--bsrange=512-64k',
    ]
    const amount = ['--bs_unaligned=0', '--blockalign=512', '--size=16M', '--iodepth=32']
    const check = ['--verify=crc32c', '--verify_state_save=0', '--randrepeat=0']
    expect(await succeed('fio', [...job, ...amount, ...check])).toMatch(/err= 0/)
  },
)

test('who may do what: off and ACLs hide a volume at once and end its sessions, read-only refuses writes', async () => {
  const opened = ['--can', 'read', uri('copy')]
  await holdfastDone(daemon, 'volume', 'set', 'copy', '--read-only', 'on')
  expect((await run('nbdinfo', ['--is', 'readonly', uri('copy')])).code).toBe(0)
  await holdfastDone(daemon, 'volume', 'set', 'copy', '--read-only', 'off', '--nbd', 'off')
  expect((await run('nbdinfo', opened)).code).toBe(1)
  expect(await succeed('nbdinfo', ['--list', `nbd://${daemon.nbd}`])).not.toContain('export="copy"')
  await holdfastDone(daemon, 'volume', 'set', 'copy', '--nbd', 'open')
  expect((await run('nbdinfo', opened)).code).toBe(0)
  await holdfastDone(daemon, 'target', 'acl', 'add', 'copy', 'iqn.1993-08.org.debian:alice')
  expect((await run('nbdinfo', opened)).code).toBe(1)
  const refused = await holdfast(daemon, 'volume', 'set', 'copy', '--nbd', 'open')
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('use tls')])
})

test('volume show: prints URIs that work', async () => {
  const shown = (await holdfastJson(daemon, 'volume', 'show', 'disk')) as { uris: string[] }
  const uris = shown.uris.filter(text => text.startsWith('nbd'))
  expect(uris).toEqual([uri('disk'), unixUri('disk')])
  for (const each of uris) expect(await succeed('nbdinfo', ['--size', each])).toBe(`${SIZE_BYTES}\n`)
})
