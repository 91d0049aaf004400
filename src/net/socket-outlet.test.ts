import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { SocketOutlet } from './socket-outlet.ts'

/** A socket whose buffer takes what it is given only while `takes`; callbacks come when the test says so. */
class FakeSocket {
  takes = true
  writableLength = 0
  readonly callbacks: (() => void)[] = []

  write(bytes: Buffer, written: () => void): boolean {
    if (!this.takes) this.writableLength += bytes.length
    this.callbacks.push(written)
    return true
  }

  /** The kernel took everything. */
  drain(): void {
    this.writableLength = 0
    for (const written of this.callbacks.splice(0)) written()
  }
}

function attached() {
  const socket = new FakeSocket()
  const told = { taken: 0, nowMs: 0 }
  const clock = { nowMs: () => told.nowMs, repeat: () => () => undefined }
  const outlet = new SocketOutlet(clock, () => told.taken++)
  outlet.attach(socket as unknown as net.Socket)
  return { socket, told, outlet }
}

test('outlet: a write that the socket takes at once is not told again when its callback comes', () => {
  const { socket, told, outlet } = attached()
  expect(outlet.write(Buffer.alloc(10), null)).toBe(true)
  socket.drain()
  expect(told.taken).toBe(0)
  expect(outlet.sentBytes).toBe(10)
})

test('outlet: a write that the socket keeps is told once, after those that were taken before it', () => {
  const { socket, told, outlet } = attached()
  outlet.write(Buffer.alloc(10), null)
  socket.takes = false
  told.nowMs = 5
  expect(outlet.write(Buffer.alloc(10), null)).toBe(false)
  expect(outlet.takenAtMs).toBe(5)
  told.nowMs = 9
  socket.drain()
  expect(told.taken).toBe(1)
  expect(outlet.takenAtMs).toBe(9)
})

test('outlet: once closed it drops what is written and tells nothing of what was', () => {
  const { socket, told, outlet } = attached()
  socket.takes = false
  outlet.write(Buffer.alloc(10), null)
  outlet.close()
  expect(outlet.write(Buffer.alloc(10), null)).toBe(true)
  expect(socket.callbacks.length).toBe(1)
  socket.drain()
  expect(told.taken).toBe(0)
})

test('outlet: another socket begins anew: nothing is owed by the one before', () => {
  const { told, outlet } = attached()
  outlet.write(Buffer.alloc(10), null)
  const next = new FakeSocket()
  next.takes = false
  outlet.attach(next as unknown as net.Socket)
  expect(outlet.write(Buffer.alloc(10), null)).toBe(false)
  next.drain()
  expect(told.taken).toBe(1)
})

test('outlet: two buffers of one write come in order, and are told once, when the peer has room for both', async () => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const socket = net.connect(port, '127.0.0.1')
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [net.Socket],
    [],
  ]
  try {
    let taken = 0
    let tell = () => {}
    const told = new Promise<void>(resolve => {
      tell = resolve
    })
    const outlet = new SocketOutlet({ nowMs: () => 0, repeat: () => () => undefined }, () => {
      taken++
      tell()
    })
    outlet.attach(socket)
    peer.pause()
    expect(outlet.write(Buffer.from('short '), Buffer.from('ones'))).toBe(true)
    const header = Buffer.alloc(96, 'h')
    const payload = Buffer.alloc(64 * 2 ** 20, 'p')
    expect(outlet.write(header, payload)).toBe(false)
    const all = Buffer.concat([Buffer.from('short ones'), header, payload])
    const received: Buffer[] = []
    let receivedBytes = 0
    peer.on('data', chunk => {
      received.push(chunk)
      receivedBytes += chunk.length
    })
    peer.resume()
    await told
    while (receivedBytes < all.length) await once(peer, 'data')
    expect(Buffer.concat(received).equals(all)).toBe(true)
    expect(taken).toBe(1)
    expect(outlet.sentBytes).toBe(all.length)
  } finally {
    socket.destroy()
    peer.destroy()
    server.close()
  }
})
