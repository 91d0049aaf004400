import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  type PeerIdentity,
  type PeerLink,
  PeerRequest,
  PeerRequestKind,
} from '../src/replication/peer-network.ts'
import { LocalPeerHub } from '../src/replication/wire/local-peer-network.ts'
import type { PeerTls } from '../src/replication/wire/peer-tls.ts'
import { TcpPeerNetwork } from '../src/replication/wire/tcp-peer-network.ts'

// What it costs to send a write to one more replica, without that replica's disk: two processes, each with its
// own core, one of which acknowledges whatever comes.

const CORES = ['0', '1'] as const
const VOLUME = '7d1f4b1e-9c1a-4d6e-8d0b-0a5a4f0e9c11'
const POINTS = [
  { name: '4 KiB write, QD1', bytes: 4096, depth: 1 },
  { name: '4 KiB write, QD32', bytes: 4096, depth: 32 },
  { name: '64 KiB write, QD8', bytes: 65_536, depth: 8 },
] as const

const { values: options } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '2' }, rounds: { type: 'string', default: '5' } },
})

function identity(peerNumber: number): PeerIdentity {
  const peerId = `peer-${peerNumber}`
  return {
    clusterId: 'bench',
    peerId,
    peerNumber,
    brickUuid: peerId,
    openCounter: 1,
    bootId: '',
    incarnation: peerId,
  }
}

function network(peerNumber: number, port: number, tls: PeerTls | null): TcpPeerNetwork {
  const addressOf = () => (port === 0 ? null : { host: '127.0.0.1', port })
  return new TcpPeerNetwork({ self: identity(peerNumber), addressOf, admit: async () => {}, tls })
}

const ACKNOWLEDGE = {
  received: (request: { reply(status: 0, answer?: object): void; kind: PeerRequestKind }) =>
    request.kind === PeerRequestKind.control
      ? request.reply(0, { body: process.cpuUsage() })
      : request.reply(0),
  connected: async () => {},
  disconnected() {},
}

async function replica(tlsDirectory: string | undefined): Promise<void> {
  const served = network(2, 0, tlsDirectory === undefined ? null : readTls(tlsDirectory))
  served.serve(ACKNOWLEDGE)
  process.send!(Number((await served.listen('127.0.0.1', 0)).split(':')[1]))
  process.once('disconnect', () => process.exit())
}

function readTls(directory: string): PeerTls {
  const read = (name: string) => readFileSync(join(directory, name))
  return { ca: read('cert.pem'), cert: read('cert.pem'), key: read('key.pem') }
}

/** A certificate that signs itself is all that two peers who trust it need. */
function makeTls(directory: string): void {
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...key, ...files, '-subj', '/CN=bench'], { stdio: 'ignore' })
}

async function cpuOfPeer(link: PeerLink): Promise<number> {
  const usage = await new Promise<NodeJS.CpuUsage>(resolve => {
    link.send(new PeerRequest({ replied: ({ replyBody }) => resolve(replyBody as NodeJS.CpuUsage) }))
  })
  return usage.user + usage.system
}

interface Run {
  readonly perSecond: number
  readonly senderUs: number
  readonly receiverUs: number
}

async function run(link: PeerLink, bytes: number, depth: number, seconds: number): Promise<Run> {
  const payload = Buffer.alloc(bytes, 7)
  let operations = 0
  const untilMs = performance.now() + seconds * 1000
  const before = [process.cpuUsage(), await cpuOfPeer(link)] as const
  const began = performance.now()
  await new Promise<void>(resolve => {
    let left = depth
    const replied = (request: PeerRequest) => {
      operations++
      if (performance.now() < untilMs) link.send(request)
      else if (--left === 0) resolve()
    }
    for (let slot = 0; slot < depth; slot++) {
      const request = new PeerRequest({ replied })
      Object.assign(request, {
        kind: PeerRequestKind.write,
        volume: VOLUME,
        epoch: 1,
        payload,
        lengthBytes: bytes,
      })
      request.payloadLengthBytes = bytes
      link.send(request)
    }
  })
  const tookSeconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(before[0])
  const receiver = (await cpuOfPeer(link)) - before[1]
  return {
    perSecond: operations / tookSeconds,
    senderUs: (user + system) / operations,
    receiverUs: receiver / operations,
  }
}

async function measure(name: string, link: PeerLink): Promise<void> {
  if (!link.isUp) await new Promise<void>(resolve => void link.onChange(resolve))
  for (const { bytes, depth } of POINTS) await run(link, bytes, depth, 0.3)
  for (const { name: point, bytes, depth } of POINTS) {
    const runs: Run[] = []
    for (let round = 0; round < Number(options.rounds); round++) {
      runs.push(await run(link, bytes, depth, Number(options.seconds)))
    }
    const median = (of: (one: Run) => number) =>
      runs
        .map(of)
        .sort((a, b) => a - b)
        [runs.length >> 1]!.toFixed(1)
    const cpu = `${median(one => one.senderUs)} + ${median(one => one.receiverUs)} µs of CPU`
    console.log(`${name}, ${point}: ${median(one => one.perSecond / 1000)}k/s, ${cpu}`)
  }
}

async function overTcp(name: string, directory: string | null): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [
    '--',
    'replica',
    ...(directory === null ? [] : [directory]),
  ])
  execFileSync('taskset', ['-a', '-pc', CORES[1], String(child.pid)], { stdio: 'ignore' })
  const [port] = (await once(child, 'message')) as [number]
  const sending = network(1, port, directory === null ? null : readTls(directory))
  try {
    await measure(name, sending.link(2))
  } finally {
    await sending[Symbol.asyncDispose]()
    child.disconnect()
  }
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-wire-'))
  try {
    execFileSync('taskset', ['-a', '-pc', CORES[0], String(process.pid)], { stdio: 'ignore' })
    makeTls(directory)
    await overTcp('TCP', null)
    await overTcp('TLS', directory)
    const hub = new LocalPeerHub()
    const [one, two] = [hub.join(identity(1)), hub.join(identity(2))]
    two.serve(ACKNOWLEDGE)
    await measure('one process (both in the first figure)', one.link(2))
    await one[Symbol.asyncDispose]()
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const at = process.argv.indexOf('replica')
if (at > 0) await replica(process.argv[at + 1])
else await main()
