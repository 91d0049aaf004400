import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/errors/holdfast-error.ts'
import {
  type IncomingRequest,
  type PeerIdentity,
  type PeerLink,
  type PeerNetwork,
  PeerRequest,
  type PeerRequestHandler,
  PeerRequestKind,
  PeerStatus,
} from '../../src/replication/peer-network.ts'

export const VOLUME = '7d1f4b1e-9c1a-4d6e-8d0b-0a5a4f0e9c11'

export function peerIdentity(peerNumber: number, fields: Partial<PeerIdentity> = {}): PeerIdentity {
  return {
    clusterId: 'cluster',
    peerId: `peer-${peerNumber}`,
    peerNumber,
    brickUuid: `brick-${peerNumber}`,
    openCounter: 1,
    bootId: 'boot',
    incarnation: `process-${peerNumber}`,
    ...fields,
  }
}

/** Two peers that can reach each other, 1 and 2; both must be served before their links come up. */
export interface TwoPeers extends AsyncDisposable {
  readonly one: PeerNetwork
  readonly two: PeerNetwork
}

/** A handler that does what `received` says and writes down who came and went. */
export class TestHandler implements PeerRequestHandler {
  readonly events: string[] = []
  connecting: Promise<void> | null = null
  readonly #received: (request: IncomingRequest) => void

  constructor(received: (request: IncomingRequest) => void = request => request.reply(0)) {
    this.#received = received
  }

  received(request: IncomingRequest): void {
    this.#received(request)
  }

  async connected(from: PeerIdentity, connection: number): Promise<void> {
    await this.connecting
    this.events.push(`connected ${from.peerNumber} ${connection}`)
  }

  disconnected(from: PeerIdentity, connection: number): void {
    this.events.push(`disconnected ${from.peerNumber} ${connection}`)
  }
}

export function send(link: PeerLink, fill: (request: PeerRequest) => void): Promise<PeerRequest> {
  return new Promise(resolve => {
    const request = new PeerRequest({ replied: resolve })
    fill(request)
    link.send(request)
  })
}

export function untilUp(link: PeerLink): Promise<void> {
  return until(link, () => link.isUp)
}

export function until(link: PeerLink, isSo: () => boolean): Promise<void> {
  return new Promise(resolve => {
    if (isSo()) return resolve()
    const stop = link.onChange(() => {
      if (!isSo()) return
      stop()
      resolve()
    })
  })
}

/** What every PeerNetwork must do; `open` makes a fresh pair. */
export function peerNetworkContract(name: string, open: () => Promise<TwoPeers>): void {
  async function served(received?: (request: IncomingRequest) => void) {
    const peers = await open()
    const one = new TestHandler()
    const two = new TestHandler(received)
    peers.one.serve(one)
    peers.two.serve(two)
    const link = peers.one.link(2)
    await untilUp(link)
    return { peers, one, two, link, [Symbol.asyncDispose]: () => peers[Symbol.asyncDispose]() }
  }

  test(`${name}: a request arrives with every field, and its reply comes back`, async () => {
    let seen: unknown = null
    await using world = await served(request => {
      const { from, connection, kind, volume, epoch, setVersion, offsetBytes, lengthBytes } = request
      const { operation, watermark, stream, sequence, flags, stamp, body, payloadAt } = request
      const data = request.payload.toString('utf8', payloadAt, payloadAt + request.payloadLengthBytes)
      seen = {
        ...{ from: from.peerNumber, connection, kind, volume, epoch, setVersion, offsetBytes, lengthBytes },
        ...{ operation, watermark, stream, sequence, flags, stamp, body, data },
      }
      request.reply(4, { body: { because: 'of that' }, failedAtBytes: 2 ** 45 })
    })
    const fields = {
      kind: PeerRequestKind.write,
      volume: VOLUME,
      epoch: 2 ** 40,
      setVersion: 7,
      offsetBytes: 2 ** 52,
      lengthBytes: 3,
      operation: 12,
      watermark: 11,
      stream: 2 ** 33,
      sequence: 5,
      flags: 0xffff,
      stamp: 0xffff_fffe,
      body: { say: 'größer' },
    }
    const reply = await send(world.link, request => {
      Object.assign(request, fields, { payload: Buffer.from('xxabc'), payloadAt: 2, payloadLengthBytes: 3 })
    })
    expect(seen).toEqual({ ...fields, from: 1, connection: world.link.connection, data: 'abc' })
    expect([reply.status, reply.replyBody, reply.failedAtBytes]).toEqual([4, { because: 'of that' }, 2 ** 45])
    expect(world.link.identity?.peerNumber).toBe(2)
  })

  test.each([1, 4096, 65_536, 262_144, 3_000_000])(`${name}: %i bytes go out and come back`, async bytes => {
    const held: IncomingRequest[] = []
    await using world = await served(request => {
      if (request.kind === PeerRequestKind.write) {
        request.keep()
        held.push(request)
        if (held.length === 3) setImmediate(() => held.splice(0).forEach(kept => void kept.reply(0)))
        return
      }
      const { buffer, at } = request.reserveReply(bytes)
      buffer.fill(request.sequence, at, at + bytes)
      const answer = () => request.reply(0, { data: buffer, dataAt: at, dataLengthBytes: bytes })
      if (request.sequence % 2 === 0) answer()
      else setImmediate(answer)
    })
    const payloads = [1, 2, 3].map(value => Buffer.alloc(bytes + 10, value))
    const wrote = payloads.map(payload =>
      send(world.link, request => {
        Object.assign(request, { kind: PeerRequestKind.write, volume: VOLUME, payload, payloadAt: 10 })
        request.payloadLengthBytes = bytes
      }),
    )
    await new Promise(resolve => setTimeout(resolve, 20))
    for (const [index, kept] of held.entries()) {
      const from = kept.payload.subarray(kept.payloadAt, kept.payloadAt + kept.payloadLengthBytes)
      expect(from.equals(Buffer.alloc(bytes, index + 1))).toBe(true)
    }
    expect((await Promise.all(wrote)).map(({ status }) => status)).toEqual([0, 0, 0])
    const reads = await Promise.all(
      [4, 5, 6].map(sequence =>
        send(world.link, request => {
          Object.assign(request, { kind: PeerRequestKind.read, volume: VOLUME, sequence, intoAt: 5 })
          request.into = Buffer.alloc(bytes + 6)
          request.intoLengthBytes = bytes
        }),
      ),
    )
    for (const { sequence, into } of reads) {
      expect(into.subarray(5, bytes + 5).equals(Buffer.alloc(bytes, sequence))).toBe(true)
      expect([into[4], into[bytes + 5]]).toEqual([0, 0])
    }
  })

  test(`${name}: requests of one connection arrive in order, and none is answered inside send()`, async () => {
    const order: number[] = []
    await using world = await served(request => {
      order.push(request.sequence)
      request.reply(0)
    })
    let replies = 0
    const sent = Array.from({ length: 1000 }, (_, sequence) => {
      const reply = send(world.link, request => {
        request.sequence = sequence
        request.volume = sequence % 3 === 0 ? VOLUME : `${sequence % 7}`
        request.payload = Buffer.alloc(sequence)
        request.payloadLengthBytes = sequence
      })
      void reply.then(() => replies++)
      return reply
    })
    expect(replies).toBe(0)
    await Promise.all(sent)
    expect(order).toEqual(Array.from({ length: 1000 }, (_, index) => index))
  })

  test(`${name}: reset loses what is in flight, late answers go nowhere, and a newer connection follows`, async () => {
    const held: IncomingRequest[] = []
    await using world = await served(request => {
      if (request.flags === 1) request.reply(0)
      else held.push(request)
    })
    const { link, two } = world
    const first = link.connection
    const inFlight = [1, 2].map(() => send(link, () => {}))
    await expect.poll(() => held.length).toBe(2)
    link.reset()
    expect(link.isUp).toBe(false)
    const replies = await Promise.all(inFlight)
    expect(replies.map(({ status }) => status)).toEqual([PeerStatus.lost, PeerStatus.lost])
    for (const request of held) request.reply(0)
    await untilUp(link)
    expect(link.connection).toBeGreaterThan(first)
    const later = await send(link, request => Object.assign(request, { flags: 1 }))
    expect(later.status).toBe(0)
    const { events } = two
    expect(events.slice(0, 2)).toEqual([`connected 1 ${first}`, `disconnected 1 ${first}`])
    expect(events.at(-1)).toBe(`connected 1 ${link.connection}`)
  })

  test(`${name}: what is sent while the link is down is lost, later`, async () => {
    await using peers = await open()
    peers.one.serve(new TestHandler())
    let isReplied = false
    const reply = send(peers.one.link(2), () => {})
    void reply.then(() => {
      isReplied = true
    })
    expect(isReplied).toBe(false)
    expect((await reply).status).toBe(PeerStatus.lost)
  })

  test(`${name}: a link is up only when the other side has let go of older connections`, async () => {
    await using peers = await open()
    peers.one.serve(new TestHandler())
    const two = new TestHandler()
    let drained = () => {}
    two.connecting = new Promise(resolve => {
      drained = resolve
    })
    peers.two.serve(two)
    const link = peers.one.link(2)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(link.isUp).toBe(false)
    drained()
    await untilUp(link)
    expect(two.events).toEqual([`connected 1 ${link.connection}`])
  })

  test(`${name}: a handler that refuses a peer keeps its link down`, async () => {
    await using peers = await open()
    peers.one.serve(new TestHandler())
    const two = new TestHandler()
    two.connecting = Promise.reject(new HoldfastError('ERR_BRICK_STALE'))
    two.connecting.catch(() => {})
    peers.two.serve(two)
    const link = peers.one.link(2)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect([link.isUp, two.events]).toEqual([false, []])
  })

  test(`${name}: when a peer goes, links to it go down`, async () => {
    await using world = await served()
    await (world.peers.two as PeerNetwork & AsyncDisposable)[Symbol.asyncDispose]()
    await until(world.link, () => !world.link.isUp)
    expect(world.link.identity).toBe(null)
  })
}
