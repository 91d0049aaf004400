import { createServer } from 'node:net'

/** A TCP port that nobody listens on now. Needed where a daemon must come back on the port it had before. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, host, resolve)
  })
  const address = probe.address()
  await new Promise(resolve => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error(`no port for ${host}`)
  return address.port
}
