import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type tls from 'node:tls'
import { expect, test } from 'vitest'
import type { TlsMode } from '../../src/nbd/handshake/handshake.ts'
import { NbdServer } from '../../src/nbd/nbd-server.ts'
import type { TlsMaterial } from '../../src/nbd/tls/tls-upgrade.ts'
import { NbdOption, OptionReply } from '../../src/nbd/wire/constants.ts'
import { encodeOption } from '../../src/nbd/wire/options.ts'
import { makeCertificates } from '../guest/lib/certificates.ts'
import { NbdClient } from '../lib/nbd-client/nbd-client.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'
import { MemoryExports } from './serve-memory.ts'

const KEY = Buffer.from('00112233445566778899aabbccddeeff', 'hex')

function psk(identity: string, key = KEY): tls.ConnectionOptions {
  return {
    pskCallback: () => ({ psk: key, identity }),
    ciphers: 'PSK:TLS_AES_128_GCM_SHA256',
    checkServerIdentity: () => undefined,
  }
}

async function serve(mode: TlsMode, handshakeTimeoutMs = 5000, x509: TlsMaterial['x509'] = null) {
  const exports = new MemoryExports()
  exports.add({ name: 'open' })
  exports.add({ name: 'secret', clients: ['alice'] })
  const server = new NbdServer({ exports, limits: { handshakeTimeoutMs } })
  const material = {
    x509,
    psk: new Map([
      ['alice', KEY],
      ['bob', KEY],
    ]),
  }
  const address = await server.listen('127.0.0.1', 0, { mode, material })
  const port = Number(address.split(':')[1])
  return { server, port, [Symbol.asyncDispose]: () => server.stop() }
}

const finalType = (answers: readonly { type: number }[]) => answers.at(-1)!.type

test('TLS required: in plain text every option is refused before anything about exports is told', async () => {
  await using served = await serve('required')
  using client = await NbdClient.connect(served.port)
  const { LIST, INFO, SET_META_CONTEXT, STRUCTURED_REPLY } = NbdOption
  for (const option of [LIST, INFO, SET_META_CONTEXT, STRUCTURED_REPLY, 999]) {
    expect(await client.option(option)).toMatchObject([{ type: OptionReply.ERR_TLS_REQD }])
  }
  expect(finalType(await client.go('open'))).toBe(OptionReply.ERR_TLS_REQD)
  client.send(encodeOption(NbdOption.EXPORT_NAME, Buffer.from('open')))
  await client.closed
})

test('TLS with a PSK: its identity opens what is mapped to it, and sees it in the list', async () => {
  await using served = await serve('required')
  using alice = await NbdClient.connect(served.port)
  await alice.startTls(psk('alice'))
  expect((await alice.option(NbdOption.LIST)).length).toBe(3)
  expect(finalType(await alice.go('secret'))).toBe(OptionReply.ACK)
  const data = Buffer.alloc(3 * 2 ** 20, 7)
  expect(await alice.writeAt(0, data)).toBe(0)
  expect((await alice.readAt(0, data.length)).equals(data)).toBe(true)
  expect(served.server.sessions()).toMatchObject([{ client: 'alice', export: 'secret', tls: true }])
  using bob = await NbdClient.connect(served.port)
  await bob.startTls(psk('bob'))
  expect((await bob.option(NbdOption.LIST)).length).toBe(2)
  expect(finalType(await bob.go('secret'))).toBe(OptionReply.ERR_UNKNOWN)
})

test('TLS optional: without it unknown and guarded exports look alike', async () => {
  await using served = await serve('optional')
  using client = await NbdClient.connect(served.port)
  const guarded = await client.go('secret')
  expect(guarded).toMatchObject([{ type: OptionReply.ERR_TLS_REQD }])
  expect(await client.go('nothing')).toEqual(guarded)
  expect((await client.option(NbdOption.LIST)).length).toBe(2)
  expect(finalType(await client.go('open'))).toBe(OptionReply.ACK)
})

test('TLS off: STARTTLS is refused, and the handshake goes on', async () => {
  await using served = await serve('off')
  using client = await NbdClient.connect(served.port)
  expect(finalType(await client.option(NbdOption.STARTTLS))).toBe(OptionReply.ERR_POLICY)
  expect(finalType(await client.go('open'))).toBe(OptionReply.ACK)
})

test('STARTTLS: forgets what was agreed on in plain text, and works once', async () => {
  await using served = await serve('optional')
  using client = await NbdClient.connect(served.port)
  await client.option(NbdOption.EXTENDED_HEADERS)
  await client.startTls(psk('alice'))
  expect(finalType(await client.option(NbdOption.STARTTLS))).toBe(OptionReply.ERR_INVALID)
  expect(finalType(await client.option(NbdOption.STRUCTURED_REPLY))).toBe(OptionReply.ACK)
})

test('STARTTLS with bytes behind it: closed, lest plain text be taken for protected', async () => {
  await using served = await serve('optional')
  using client = await NbdClient.connect(served.port)
  const startTls = encodeOption(NbdOption.STARTTLS, Buffer.alloc(0))
  client.send(Buffer.concat([startTls, encodeOption(NbdOption.LIST, Buffer.alloc(0))]))
  await client.closed
  expect(served.server.faults.get('bytesBeforeTls')).toBe(1)
})

test.each([
  ['wrong key', psk('alice', Buffer.alloc(16))],
  ['unknown identity', psk('mallory')],
])('TLS with a PSK, %s: closed and counted, and others are served', async (_, options) => {
  await using served = await serve('required')
  using client = await NbdClient.connect(served.port)
  await expect(client.startTls(options)).rejects.toThrow()
  await expect.poll(() => served.server.faults.get('tlsFailed')).toBe(1)
  using alice = await NbdClient.connect(served.port)
  await alice.startTls(psk('alice'))
})

test('TLS with a PSK beside certificates: the identity is nobody without its key, whatever the ciphers', async () => {
  using directory = temporaryDirectory('nbd-tls')
  await makeCertificates(directory.path, ['localhost'])
  const pem = (name: string) => readFileSync(join(directory.path, name))
  const x509 = { ca: pem('ca.pem'), cert: pem('localhost-cert.pem'), key: pem('localhost-key.pem') }
  await using served = await serve('required', 5000, x509)
  const opened = async (key: typeof KEY, ciphers: string, maxVersion: tls.SecureVersion) => {
    using client = await NbdClient.connect(served.port)
    await client.startTls({ ...psk('alice', key), ciphers, maxVersion, rejectUnauthorized: false })
    return finalType(await client.go('secret'))
  }
  const wrong = Buffer.alloc(16, 0x42)
  for (const [ciphers, version] of [
    ['PSK:TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
    ['PSK:TLS_AES_256_GCM_SHA384', 'TLSv1.3'],
    ['PSK', 'TLSv1.2'],
  ] as const) {
    const answer = await opened(wrong, ciphers, version).catch(() => 'refused')
    expect([ciphers, answer]).toEqual([ciphers, 'refused'])
  }
  for (const [ciphers, version] of [
    ['PSK:TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
    ['PSK:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256', 'TLSv1.3'],
    ['PSK', 'TLSv1.2'],
  ] as const) {
    expect([ciphers, await opened(KEY, ciphers, version)]).toEqual([ciphers, OptionReply.ACK])
  }
})

test('garbage in place of a TLS handshake: closed and counted', async () => {
  await using served = await serve('required')
  using client = await NbdClient.connect(served.port)
  await client.option(NbdOption.STARTTLS)
  client.send(Buffer.alloc(4096, 0x41))
  await client.closed
  expect(served.server.faults.get('tlsFailed')).toBe(1)
})

test('TLS handshake that goes on for ever: closed when the time for the handshake is up', async () => {
  await using served = await serve('required', 100)
  using client = await NbdClient.connect(served.port)
  await client.option(NbdOption.STARTTLS)
  await client.closed
  expect(served.server.faults.get('handshakeTimeout')).toBe(1)
})
