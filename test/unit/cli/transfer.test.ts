import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { encodeHeader, SPARSE_STREAM_TYPE } from '../../../src/api/sparse-stream.ts'
import { BlockKind } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { cli, TestDaemon } from './harness.ts'

const MiB = 2 ** 20
let served: TestDaemon
let directory: string
let image: string

beforeEach(async () => {
  served = await TestDaemon.start()
  directory = await mkdtemp(join(tmpdir(), 'holdfast-transfer-'))
  image = join(directory, 'image')
  await served.run('volume create disk1 4MiB')
})
afterEach(async () => {
  await served[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** Zeroes but for some runs that cross the borders of blocks and frames. */
function sparseImage(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  bytes.fill('a', 5000, 5100)
  bytes.fill('b', MiB - 3000, MiB + 3000)
  bytes.fill('c', sizeBytes - 10)
  return bytes
}

test('import: the volume holds the image, zeroes elsewhere, and only its data was written', async () => {
  const volume = served.daemon.memory('disk1')
  volume.bytes.fill('x')
  for (let block = 0; block < 1024; block++) volume.mapped.add(block)
  const bytes = sparseImage(3 * MiB)
  await writeFile(image, bytes)
  const { code, out, err } = await served.run(['volume', 'import', image, 'disk1'])
  expect([code, err]).toEqual([0, ''])
  expect(out).toBe("imported 16KiB of data into volume 'disk1'\n")
  expect(volume.bytes.equals(Buffer.concat([bytes, Buffer.alloc(MiB)]))).toBe(true)
  expect([volume.mapped.size, volume.kindsApplied.at(-1), volume.openHandles]).toEqual([
    4,
    BlockKind.flush,
    0,
  ])
})

test('import: standard input fills a volume, whatever the size of its pieces', async () => {
  const bytes = sparseImage(2 * MiB + 700)
  const { code } = await served.run('volume import - disk1', { stdin: bytes })
  expect(code).toBe(0)
  const volume = served.daemon.memory('disk1')
  expect(volume.bytes.subarray(0, bytes.length).equals(bytes)).toBe(true)
  expect(volume.bytes.subarray(bytes.length).every(byte => byte === 0)).toBe(true)
})

test('import: a missing volume is made for a file and refused for standard input', async () => {
  await writeFile(image, sparseImage(MiB + 4096 - 512))
  expect((await served.run(['volume', 'import', image, 'disk2'])).code).toBe(0)
  expect(served.daemon.volumes.get('disk2')?.sizeBytes).toBe(MiB + 4096)
  const unknown = await served.run('volume import - disk3', { stdin: 'x' })
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining("no volume 'disk3'")])
})

test('import: an image that is too large is refused before anything is written', async () => {
  await writeFile(image, sparseImage(5 * MiB))
  const refused = await served.run(['volume', 'import', image, 'disk1'])
  expect([refused.code, refused.err]).toEqual([
    1,
    'holdfast: the image has 5MiB, the volume 4MiB: resize the volume first\n',
  ])
  expect(served.daemon.memory('disk1').mapped.size).toBe(0)
  const piped = await served.run('volume import - disk1', { stdin: sparseImage(5 * MiB) })
  expect([piped.code, piped.err]).toEqual([1, expect.stringContaining('larger than the volume')])
})

test('import: a qcow2 image is refused with how to convert it', async () => {
  await writeFile(image, Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(1000)]))
  const file = await served.run(['volume', 'import', image, 'disk1'])
  expect([file.code, file.err]).toEqual([1, expect.stringContaining(`qemu-img convert -O raw ${image}`)])
  const piped = await served.run('volume import - disk1', { stdin: Buffer.from('QFI\xfb....', 'latin1') })
  expect([piped.code, piped.err]).toEqual([1, expect.stringContaining('qcow2')])
})

test('import: a volume in use is refused without --force', async () => {
  await writeFile(image, sparseImage(2 * MiB))
  served.daemon.volumes.set('disk1', { ...served.daemon.volumes.get('disk1')!, sessions: 2 })
  const busy = await served.run(['volume', 'import', image, 'disk1'])
  expect([busy.code, busy.err]).toEqual([
    1,
    expect.stringContaining('used by 2 sessions: end them, or use --force'),
  ])
  expect((await served.run(['volume', 'import', image, 'disk1', '--force'])).code).toBe(0)
})

test('import: a read-only volume is refused', async () => {
  await writeFile(image, sparseImage(2 * MiB))
  await served.run('volume set disk1 --read-only on')
  const refused = await served.run(['volume', 'import', image, 'disk1'])
  expect([refused.code, refused.err]).toEqual([1, "holdfast: volume 'disk1' is read-only\n"])
})

test('import: a brick without space ends it with that sentence', async () => {
  await writeFile(image, sparseImage(4 * MiB))
  served.daemon.memory('disk1').fault = () => ({ status: BlockStatus.noSpace })
  const failed = await served.run(['volume', 'import', image, 'disk1'])
  expect([failed.code, failed.err]).toEqual([1, 'holdfast: the bricks have no space left\n'])
})

test('export: the file has the bytes of the volume and takes no space for its zeroes', async () => {
  const bytes = sparseImage(4 * MiB)
  await served.run('volume import - disk1', { stdin: bytes })
  const { code, out } = await served.run(['volume', 'export', 'disk1', image])
  expect([code, out]).toEqual([0, 'exported 16KiB of data, a disk of 4MiB\n'])
  expect((await readFile(image)).equals(bytes)).toBe(true)
  expect((await stat(image)).blocks * 512).toBeLessThan(MiB)
  expect(served.daemon.memory('disk1').openHandles).toBe(0)
})

test('export: standard output gets every byte and nothing else', async () => {
  const bytes = sparseImage(4 * MiB)
  await served.run('volume import - disk1', { stdin: bytes })
  const { bytes: exported } = await served.run('volume export disk1 - --json')
  expect(exported.equals(bytes)).toBe(true)
})

test('import and export: a volume that is being sanitized refuses both, and an unknown one has no image', async () => {
  await writeFile(image, sparseImage(4 * MiB))
  await served.run(['volume', 'import', image, 'disk1'])
  served.daemon.memory('disk1').fault = () => ({ status: BlockStatus.sanitizing })
  const says = 'holdfast: the volume is being sanitized\n'
  const put = await served.run(['volume', 'import', image, 'disk1'])
  expect([put.code, put.err]).toEqual([1, says])
  const got = await served.run('volume export disk1 -')
  expect([got.code, got.err, got.bytes.length]).toEqual([1, says, 0])
  const unknown = await served.run('volume export disk9 -')
  expect([unknown.code, unknown.err]).toEqual([1, "holdfast: there is no volume 'disk9'\n"])
})

test('export: a failed read leaves no file behind', async () => {
  await served.run('volume import - disk1', { stdin: sparseImage(4 * MiB) })
  served.daemon.memory('disk1').fault = () => ({ status: BlockStatus.mediumError })
  const failed = await served.run(['volume', 'export', 'disk1', image])
  expect([failed.code, failed.err]).toEqual([1, expect.stringContaining('fails its checksum')])
  await expect(stat(image)).rejects.toThrow('ENOENT')
  await expect(stat(`${image}.part`)).rejects.toThrow('ENOENT')
})

test('import: the daemon says that it is at work while nothing travels', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    const headers = { 'content-type': SPARSE_STREAM_TYPE }
    const upload = request(`${served.url}/v1/volumes/disk1/import`, { method: 'POST', headers })
    upload.on('error', () => {})
    const said = once(upload, 'information')
    upload.write(encodeHeader(4 * MiB))
    await vi.waitFor(() => expect(served.daemon.memory('disk1').openHandles).toBe(1))
    vi.advanceTimersByTime(10_000)
    expect(await said).toMatchObject([{ statusCode: 102 }])
    upload.destroy()
  } finally {
    vi.useRealTimers()
  }
})

test('export: a signal ends it and leaves no part of the file behind', async () => {
  const { code, err } = await served.run(['volume', 'export', 'disk1', image], { signal: 'SIGINT' })
  expect([code, err]).toEqual([1, 'holdfast: the export was stopped by SIGINT\n'])
  await expect(stat(`${image}.part`)).rejects.toThrow('ENOENT')
})

test('export: a device that is full ends it with that sentence', async () => {
  const { code, err } = await served.run('volume export disk1 /dev/full')
  expect([code, err]).toEqual([1, 'holdfast: /dev/full cannot be written: no space is left on the device\n'])
})

/** Answers everything with what it is given, and closes the connection then. */
async function strangeServer(headers: Record<string, string>, body: Buffer | string) {
  const server = createServer((_request, response) => {
    response.writeHead(200, headers)
    response.write(body, () => response.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() }
}

test('export: a daemon that breaks off is to blame, and not the file', async () => {
  using dying = await strangeServer({ 'content-type': SPARSE_STREAM_TYPE }, encodeHeader(4 * MiB))
  const { code, err } = await cli(['volume', 'export', 'disk1', image, '--api', dying.url])
  expect([code, err]).toEqual([
    3,
    `holdfast: the daemon at ${dying.url} broke off its answer: it ended, or was silent for too long\n`,
  ])
  await expect(stat(`${image}.part`)).rejects.toThrow('ENOENT')
})

test('another server at the address of the API is told as that, in one sentence', async () => {
  const page = '<!doctype html><title>hello</title>'
  using web = await strangeServer({ 'content-length': String(page.length) }, page)
  const { code, err } = await cli(['status', '--api', web.url])
  expect([code, err]).toEqual([1, `holdfast: what answers at ${web.url} is no daemon of Holdfast\n`])
})
