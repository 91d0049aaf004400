import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../config/load-config.ts'
import { Daemon } from './daemon.ts'
import { runDaemon } from './run-daemon.ts'

const log = pino({ enabled: false })
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-daemon-'))
})
afterEach(() => rm(directory, { recursive: true }))

function config(flags: Record<string, unknown> = {}) {
  const ports = { iscsi: ['127.0.0.1:0'], nbd: ['127.0.0.1:0'], api: '127.0.0.1:0' }
  return loadConfig({ flags: { data: join(directory, 'data'), ...ports, ...flags } })
}

function start(flags?: Record<string, unknown>, demo = true): Promise<Daemon> {
  return Daemon.start({ config: config(flags), log, version: '0.1.0', demo })
}

async function get(daemon: Daemon, path: string): Promise<string> {
  return (await fetch(daemon.apiUrl + path)).text()
}

test('daemon: a new data directory gets the volume demo, an old one keeps what it has', async () => {
  const first = await start()
  const made = await first.volumes()
  expect(made.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([['demo', 2 ** 30]])
  expect(made[0]!.uris).toEqual([
    `iscsi://${first.portals[0]!.address}/iqn.2026-11.io.holdfast:demo/0`,
    `nbd://${first.nbdPortals[0]!.address}/demo`,
  ])
  expect(await get(first, '/readyz')).toBe('ready\n')
  expect(JSON.parse(await get(first, '/v1/status'))).toMatchObject({ state: 'serving', volumes: 1 })
  expect(await get(first, '/metrics')).toContain('holdfast_volume_queue_depth{volume="demo"} 0')
  await first.stop()
  const again = await start()
  expect((await again.volumes())[0]!.naa).toBe(made[0]!.naa)
  await again.stop()
})

test('daemon: without demo nothing is made', async () => {
  const daemon = await start({}, false)
  expect(await daemon.volumes()).toEqual([])
  await daemon.stop()
})

test('daemon: a second one on the same directory is refused, and the first one goes on', async () => {
  const first = await start()
  await expect(start()).rejects.toMatchObject({ code: 'ERR_DATA_LOCKED' })
  expect(await get(first, '/healthz')).toBe('ok\n')
  await first.stop()
})

test('daemon: an address in use is refused with its name, and the directory is free again', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => other.once('listening', resolve))
  const { port } = other.address() as { port: number }
  await expect(start({ iscsi: [`127.0.0.1:${port}`] })).rejects.toThrow(
    `iSCSI cannot listen on 127.0.0.1:${port}: the address is in use`,
  )
  const daemon = await start()
  await daemon.stop()
  other.close()
})

test('nbd: a Unix socket is for the user and the group of the daemon', async () => {
  const path = join(directory, 'nbd.sock')
  const daemon = await start({ 'nbd.unix': path })
  expect((await stat(path)).mode & 0o777).toBe(0o660)
  await daemon.stop()
})

test('nbd: a file that is no socket is left alone, and a directory that is missing is named as that', async () => {
  const file = join(directory, 'disk.img')
  await writeFile(file, 'of somebody else')
  await expect(start({ 'nbd.unix': file })).rejects.toThrow(
    `NBD cannot listen on ${file}: a file that is no socket has this name: choose another one`,
  )
  expect(await readFile(file, 'utf8')).toBe('of somebody else')
  const nowhere = join(directory, 'none', 'nbd.sock')
  await expect(start({ 'nbd.unix': nowhere })).rejects.toThrow(
    `NBD cannot listen on ${nowhere}: there is no such file or directory`,
  )
})

test('daemon: a data directory that cannot be made is refused with one sentence', async () => {
  await expect(start({ data: '/proc/nothing/here' })).rejects.toThrow(
    'the data directory /proc/nothing/here cannot be used: there is no such file or directory',
  )
})

test('run: what is up is printed, and a signal stops it cleanly', async () => {
  const stdout = new PassThrough()
  let signal: (name: NodeJS.Signals) => void = () => {}
  const terminal = {
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    environment: {},
    onStopSignal: (listener: typeof signal) => {
      signal = listener
      return () => {}
    },
  }
  const running = runDaemon(config({ 'log.level': 'fatal' }), terminal, { demo: true, json: true, peers: 1 })
  const [line] = await once(stdout, 'data')
  const served = JSON.parse(String(line))
  expect(served).toMatchObject({ version: '0.1.0', volumes: [{ name: 'demo' }] })
  expect(served.portals).toHaveLength(1)
  expect(served.nbd).toHaveLength(1)
  signal('SIGTERM')
  await running
  await expect(fetch(`${served.apiUrl}/healthz`)).rejects.toThrow('fetch failed')
})
