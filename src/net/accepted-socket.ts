import net from 'node:net'
import { sendUnpacedWithinMachine } from './unpaced.ts'

/** How a connection takes bytes in. */
export interface ByteIntake {
  /** Where the next bytes are to be received. */
  nextBuffer(): Buffer
  /** `buffer[0, lengthBytes)` was received; false stops reading until the socket's resume(). */
  received(lengthBytes: number, buffer: Buffer): boolean
}

interface WithHandle {
  _handle?: object | null
}

/**
 * Makes a socket that was accepted with `pauseOnConnect` deliver into buffers of our own. The way there leads
 * through a private field of Node (`onread` is an option of outgoing sockets alone); without it, or with
 * `byEvents`, the same bytes come by 'data' events.
 */
export function openAccepted(accepted: net.Socket, intake: ByteIntake, byEvents: boolean): net.Socket {
  sendUnpacedWithinMachine(accepted)
  const handle = byEvents ? null : (accepted as WithHandle)._handle
  if (handle == null) {
    accepted.on('data', (chunk: Buffer) => {
      if (!intake.received(chunk.length, chunk)) accepted.pause()
    })
    accepted.resume()
    return accepted
  }
  const options = {
    handle,
    onread: {
      buffer: () => intake.nextBuffer(),
      callback: (lengthBytes: number, buffer: Buffer) => intake.received(lengthBytes, buffer),
    },
  }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  // The server counts connections by the socket that it made: without its handle that one can go.
  ;(accepted as WithHandle)._handle = null
  accepted.destroy()
  return socket
}
