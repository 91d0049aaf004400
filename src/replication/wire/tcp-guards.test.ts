import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeCertificates } from '../../../test/guest/lib/certificates.ts'
import { peerIdentity, send, TestHandler, until, untilUp } from '../../../test/lib/peer-network-contract.ts'
import { temporaryDirectory } from '../../../test/lib/temporary-directory.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { IncomingRequest, PeerIdentity } from '../peer-network.ts'
import { encodeHello } from './hello.ts'
import type { PeerTls } from './peer-tls.ts'
import { TcpPeerNetwork, type TcpPeerNetworkOptions } from './tcp-peer-network.ts'

const QUICK = { reconnectMinMs: 1, reconnectMaxMs: 10 }

/** Peers that serve, each knowing where the others are. */
class Peers implements AsyncDisposable {
  readonly #ports = new Map<number, number>()
  readonly #networks: TcpPeerNetwork[] = []

  async add(
    identity: PeerIdentity,
    options: Partial<TcpPeerNetworkOptions> = {},
    handler = new TestHandler(),
  ): Promise<TcpPeerNetwork> {
    const network = new TcpPeerNetwork({
      self: identity,
      addressOf: number => {
        const port = this.#ports.get(number)
        return port === undefined ? null : { host: '127.0.0.1', port }
      },
      admit: async () => {},
      tls: null,
      limits: QUICK,
      ...options,
    })
    this.#networks.push(network)
    network.serve(handler)
    const address = await network.listen('127.0.0.1', 0)
    this.#ports.set(identity.peerNumber, Number(address.split(':')[1]))
    return network
  }

  port(peerNumber: number): number {
    return this.#ports.get(peerNumber)!
  }

  /** What peerNumber listens on is called `port` from now on. */
  divert(peerNumber: number, port: number): void {
    this.#ports.set(peerNumber, port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#networks.map(network => network[Symbol.asyncDispose]()))
  }
}

/** Waits until a link has failed for the reason that is asked for. */
async function failed(network: TcpPeerNetwork, peerNumber: number, why: string): Promise<void> {
  const link = network.link(peerNumber)
  await expect.poll(() => link.failure, { interval: 2 }).toContain(why)
  expect(link.isUp).toBe(false)
}

async function pems(names: readonly string[]): Promise<{ tls: PeerTls[]; dispose: () => void }> {
  const directory = temporaryDirectory('peer-tls')
  await makeCertificates(directory.path, names)
  const read = (file: string) => readFileSync(join(directory.path, file))
  const tls = names.map(name => ({
    ca: read('ca.pem'),
    cert: read(`${name}-cert.pem`),
    key: read(`${name}-key.pem`),
  }))
  return { tls, dispose: () => directory[Symbol.dispose]() }
}

test('hello: a peer of another cluster, with another number or an old brick gets no link', async () => {
  await using peers = new Peers()
  const one = await peers.add(peerIdentity(1))
  await peers.add(peerIdentity(2, { clusterId: 'other' }))
  await peers.add(peerIdentity(3))
  await failed(one, 2, 'another cluster')
  peers.divert(4, peers.port(3))
  await failed(one, 4, "is peer 'peer-3' with number 3")
})

test('admission: either side may refuse, and says why', async () => {
  await using peers = new Peers()
  const admit = async (peer: PeerIdentity) => {
    if (peer.openCounter < 2) throw new HoldfastError('ERR_BRICK_STALE', 'an old brick')
  }
  const one = await peers.add(peerIdentity(1, { openCounter: 2 }), { admit })
  await peers.add(peerIdentity(2, { openCounter: 2 }), { admit })
  const old = await peers.add(peerIdentity(3))
  await untilUp(one.link(2))
  await failed(old, 2, 'an old brick')
  await failed(one, 3, 'an old brick')
})

test('versions: neighbours talk, others are told what each speaks', async () => {
  await using peers = new Peers()
  const old = await peers.add(peerIdentity(1))
  const newer = await peers.add(peerIdentity(2), { versions: { lowest: 1, highest: 2 } })
  const newest = await peers.add(peerIdentity(3), { versions: { lowest: 2, highest: 3 } })
  await untilUp(old.link(2))
  await untilUp(newer.link(1))
  expect((await send(newer.link(1), () => {})).status).toBe(0)
  await untilUp(newest.link(2))
  await failed(newest, 1, 'speaks versions 2 to 3 of the wire, this one 1 to 1')
})

test('TLS: peers with certificates of one authority talk, and the name reaches admission', async () => {
  const { tls, dispose } = await pems(['peer-1', 'peer-2'])
  await using peers = new Peers()
  const names: (string | null)[] = []
  const admit = async (_: PeerIdentity, name: string | null) => void names.push(name)
  const payload = Buffer.alloc(300_000, 7)
  let isSame = false
  const received = (request: IncomingRequest) => {
    const { payload: data, payloadAt, payloadLengthBytes } = request
    isSame = data.subarray(payloadAt, payloadAt + payloadLengthBytes).equals(payload)
    request.reply(0)
  }
  const one = await peers.add(peerIdentity(1), { tls: tls[0]!, admit })
  await peers.add(peerIdentity(2), { tls: tls[1]!, admit }, new TestHandler(received))
  await untilUp(one.link(2))
  expect(names).toEqual(['peer-1', 'peer-2'])
  const payloadLengthBytes = payload.length
  await send(one.link(2), request => Object.assign(request, { payload, payloadLengthBytes }))
  expect(isSame).toBe(true)
  dispose()
})

test('TLS: a certificate of another authority, and none at all, get nowhere', async () => {
  const ours = await pems(['peer-1'])
  const theirs = await pems(['peer-2'])
  await using peers = new Peers()
  await peers.add(peerIdentity(1), { tls: ours.tls[0]! })
  const stranger = await peers.add(peerIdentity(2), { tls: { ...theirs.tls[0]!, ca: ours.tls[0]!.ca } })
  const plain = await peers.add(peerIdentity(3))
  const [strange, bare] = [stranger.link(1), plain.link(1)]
  await expect.poll(() => [strange.connection > 2, bare.connection > 2]).toEqual([true, true])
  expect([strange.isUp, bare.isUp]).toEqual([false, false])
  ours.dispose()
  theirs.dispose()
})

test('plain TCP: refused on addresses that others reach, unless it is allowed', async () => {
  const options = { self: peerIdentity(1), admit: async () => {}, tls: null }
  await using network = new TcpPeerNetwork({ ...options, addressOf: () => ({ host: '192.0.2.1', port: 1 }) })
  network.serve(new TestHandler())
  await expect(network.listen('0.0.0.0', 0)).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
  expect(network.link(2).failure).toContain('need TLS')
  await using allowed = new TcpPeerNetwork({ ...options, addressOf: () => null, allowPlain: true })
  allowed.serve(new TestHandler())
  expect(await allowed.listen('0.0.0.0', 0)).toMatch(/^0\.0\.0\.0:\d+$/)
})

test('a peer that has gone silent is noticed and its requests are lost', async () => {
  await using peers = new Peers()
  // Speaks until its hello is out, then never again.
  const mute = net.createServer(socket => {
    socket.once('data', () => {
      const versions = { lowest: 1, highest: 1 }
      socket.write(encodeHello({ versions, identity: peerIdentity(2), connection: 1 }))
    })
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => void mute.listen(0, '127.0.0.1', resolve))
  peers.divert(2, (mute.address() as net.AddressInfo).port)
  const limits = { ...QUICK, pingAfterMs: 50, silenceMaxMs: 200 }
  const one = await peers.add(peerIdentity(1), { limits })
  const link = one.link(2)
  await untilUp(link)
  expect((await send(link, () => {})).status).toBe(64)
  expect(link.failure).toBe('silent')
  mute.close()
})

test('pings keep an idle connection up', async () => {
  await using peers = new Peers()
  const limits = { ...QUICK, pingAfterMs: 50, silenceMaxMs: 300 }
  const one = await peers.add(peerIdentity(1), { limits })
  await peers.add(peerIdentity(2), { limits })
  const link = one.link(2)
  await untilUp(link)
  const { connection } = link
  await new Promise(resolve => setTimeout(resolve, 700))
  expect([link.isUp, link.connection]).toEqual([true, connection])
})

test('bytes in flight are bounded: what is above is lost, and what was below is not', async () => {
  await using peers = new Peers()
  const held: IncomingRequest[] = []
  const limits = { ...QUICK, bytesInFlightMax: 10_000 }
  const one = await peers.add(peerIdentity(1), { limits })
  await peers.add(peerIdentity(2), {}, new TestHandler(request => void held.push(request)))
  const link = one.link(2)
  await untilUp(link)
  const payload = Buffer.alloc(4000)
  const fill = (request: object) => Object.assign(request, { payload, payloadLengthBytes: payload.length })
  const replies = [1, 2, 3].map(() => send(link, fill))
  expect((await replies[2]!).status).toBe(64)
  await expect.poll(() => held.length).toBe(2)
  for (const request of held) request.reply(0)
  expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([0, 0, 64])
})

test('a server that is sent anything but frames closes that connection alone', async () => {
  await using peers = new Peers()
  const one = await peers.add(peerIdentity(1))
  const two = await peers.add(peerIdentity(2))
  await untilUp(one.link(2))
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'HFPW'.padEnd(40, '\0')]) {
    const socket = net.connect(peers.port(2), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(bytes)
    await new Promise(resolve => socket.once('close', resolve))
  }
  expect([two.faults.get('badMagic'), two.faults.get('badHelloChecksum')]).toEqual([1, 1])
  expect((await send(one.link(2), () => {})).status).toBe(0)
})

test('a new process of a peer takes the place of the old one, whose connection ends', async () => {
  await using peers = new Peers()
  const two = new TestHandler()
  const old = await peers.add(peerIdentity(1))
  await peers.add(peerIdentity(2), {}, two)
  await untilUp(old.link(2))
  const fresh = await peers.add(peerIdentity(1, { openCounter: 2, incarnation: 'again' }))
  await untilUp(fresh.link(2))
  await until(old.link(2), () => !old.link(2).isUp)
  expect(two.events).toEqual(['connected 1 1', 'disconnected 1 1', 'connected 1 1'])
  await failed(old, 2, 'opened again')
})
