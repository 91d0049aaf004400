import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCertificates } from '../guest/lib/certificates.ts'
import { Daemon } from '../lib/daemon.ts'
import { holdfastDone, holdfastJson, run, succeed } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

let directory: TemporaryDirectory
let daemon: Daemon
const file = (name: string) => join(directory.path, name)

/** What libnbd wants to find in a directory of certificates. */
function clientDirectory(name: string): string {
  const path = file(`client-${name}`)
  mkdirSync(path)
  copyFileSync(file('ca.pem'), join(path, 'ca-cert.pem'))
  copyFileSync(file(`${name}-cert.pem`), join(path, 'client-cert.pem'))
  copyFileSync(file(`${name}-key.pem`), join(path, 'client-key.pem'))
  return path
}

beforeAll(async () => {
  directory = temporaryDirectory('nbd-tls')
  await makeCertificates(directory.path, ['localhost', 'alice', 'bob'])
  mkdirSync(file('server'))
  copyFileSync(file('ca.pem'), file('server/ca.pem'))
  copyFileSync(file('localhost-cert.pem'), file('server/cert.pem'))
  copyFileSync(file('localhost-key.pem'), file('server/key.pem'))
  for (const user of ['carol', 'mallory']) await succeed('psktool', ['-u', user, '-p', file(`${user}.psk`)])
  writeFileSync(file('keys.psk'), readFileSync(file('carol.psk')))
  const tls = ['--nbd-tls', 'required', '--tls-dir', file('server'), '--nbd-psk-file', file('keys.psk')]
  daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo', ...tls] })
  await holdfastDone(daemon, 'volume', 'create', 'disk', '64MiB')
  await holdfastDone(daemon, 'volume', 'set', 'disk', '--nbd', 'tls:alice,carol')
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

const port = () => daemon.nbd.split(':')[1]
const x509 = (path: string) => `nbds://localhost:${port()}/disk?tls-certificates=${path}`
const psk = (user: string) => `nbds://${user}@localhost:${port()}/disk?tls-psk-file=${file(`${user}.psk`)}`

test('plain text is refused before anything about exports is told', async () => {
  for (const name of ['disk', 'nothing']) {
    const { code, stderr } = await run('nbdinfo', [`nbd://${daemon.nbd}/${name}`])
    expect([code, stderr]).toEqual([1, expect.stringContaining('Operation not supported')])
  }
  const listing = await run('nbdinfo', ['--list', `nbd://${daemon.nbd}`])
  expect(listing.stdout).not.toContain('disk')
})

test('X.509: the certificate that is mapped to the export opens it, another one of the authority does not', async () => {
  const alice = x509(clientDirectory('alice'))
  expect(await succeed('nbdinfo', [alice])).toContain('newstyle-fixed with TLS')
  const { code } = await run('nbdinfo', [x509(clientDirectory('bob'))])
  expect(code).toBe(1)
  await copiesBothWays(alice)
})

test('PSK on the same listener: a known key opens what is mapped to it, an unknown one gets nothing', async () => {
  expect(await succeed('nbdinfo', [psk('carol')])).toContain('newstyle-fixed with TLS')
  expect((await run('nbdinfo', [psk('mallory')])).code).toBe(1)
  await copiesBothWays(psk('carol'))
})

test('a certificate of another authority is refused', async () => {
  using other = temporaryDirectory('other-authority')
  await makeCertificates(other.path, ['alice'])
  const path = file('client-forged')
  mkdirSync(path)
  copyFileSync(file('ca.pem'), join(path, 'ca-cert.pem'))
  copyFileSync(join(other.path, 'alice-cert.pem'), join(path, 'client-cert.pem'))
  copyFileSync(join(other.path, 'alice-key.pem'), join(path, 'client-key.pem'))
  expect((await run('nbdinfo', [x509(path)])).code).toBe(1)
})

test('volume show: the URI says that TLS is needed', async () => {
  expect(await holdfastJson(daemon, 'volume', 'show', 'disk')).toMatchObject({
    nbd: 'tls:alice,carol',
    uris: expect.arrayContaining([`nbds://${daemon.nbd}/disk`]),
  })
})

async function copiesBothWays(uri: string): Promise<void> {
  const image = Buffer.alloc(64 * 2 ** 20, 'holdfast')
  writeFileSync(file('image'), image)
  await succeed('nbdcopy', ['--connections=2', file('image'), uri])
  await succeed('nbdcopy', ['--connections=2', uri, file('back')])
  expect(readFileSync(file('back')).equals(image)).toBe(true)
}
