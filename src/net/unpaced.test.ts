import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { addressOf, koffi, nativeLibrary } from '../lib/native.ts'
import { sendUnpacedWithinMachine } from './unpaced.ts'

const IPPROTO_TCP = 6
const TCP_CONGESTION = 13

function congestionControlOf(socket: net.Socket): string {
  const getsockopt = nativeLibrary(null)!.func('getsockopt', 'int', [
    ...['int', 'int', 'int', 'uintptr_t', 'uintptr_t'],
  ])
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const name = Buffer.alloc(16)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(name.length)
  expect(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, addressOf(name), addressOf(length))).toBe(0)
  return name.toString('latin1').replace(/\0.*$/s, '')
}

/** The accepted end of a connection from `from` to 127.0.0.1. */
async function accepted(from: string, use: (socket: net.Socket) => void): Promise<void> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = net.connect({ host: '127.0.0.1', port, localAddress: from })
  try {
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    use(socket)
    socket.destroy()
  } finally {
    client.destroy()
    server.close()
  }
}

test.skipIf(koffi === null)(
  'a connection whose ends have one address is not paced: its control is reno',
  () =>
    accepted('127.0.0.1', socket => {
      expect(sendUnpacedWithinMachine(socket)).toBe(true)
      expect(congestionControlOf(socket)).toBe('reno')
    }),
)

test.skipIf(koffi === null)(
  'a connection between two addresses keeps the congestion control of the system',
  () =>
    accepted('127.0.0.2', socket => {
      const before = congestionControlOf(socket)
      expect(sendUnpacedWithinMachine(socket)).toBe(false)
      expect(congestionControlOf(socket)).toBe(before)
    }),
)
