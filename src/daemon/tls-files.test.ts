import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCertificates } from '../../test/guest/lib/certificates.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { loadAuthority, loadKeyPair, loadKeyPairIfThere } from './tls-files.ts'

let directory: TemporaryDirectory
const file = (name: string) => join(directory.path, name)

/** A directory whose cert.pem and key.pem are those of the two names. */
async function tlsDirectory(certificateOf: string, keyOf: string): Promise<string> {
  const path = file(`${certificateOf}-with-${keyOf}`)
  await mkdir(path)
  await copyFile(file(`${certificateOf}-cert.pem`), join(path, 'cert.pem'))
  await copyFile(file(`${keyOf}-key.pem`), join(path, 'key.pem'))
  return path
}

beforeAll(async () => {
  directory = temporaryDirectory('tls-files')
  await makeCertificates(directory.path, ['a', 'b'])
})
afterAll(() => directory[Symbol.dispose]())

test('TLS: a certificate and its key are taken, those of two machines are refused by name', async () => {
  expect(Object.keys(await loadKeyPair('tlsDir', await tlsDirectory('a', 'a')))).toEqual(['cert', 'key'])
  const mixed = await tlsDirectory('a', 'b')
  await expect(loadKeyPair('tlsDir', mixed)).rejects.toThrow(
    `${mixed}/cert.pem and key.pem of tlsDir cannot be used: key values mismatch`,
  )
})

test('TLS: an authority that is no certificate is refused', async () => {
  expect(await loadAuthority('tlsDir', directory.path)).toBeInstanceOf(Buffer)
  const other = file('other')
  await mkdir(other)
  await writeFile(join(other, 'ca.pem'), 'to be done\n')
  await expect(loadAuthority('etcd.tls', other)).rejects.toThrow(
    `${other}/ca.pem of etcd.tls cannot be used: `,
  )
})

test('etcd: without a certificate of ours none is shown, with half of one the start is refused', async () => {
  const path = await tlsDirectory('b', 'b')
  expect(await loadKeyPairIfThere('etcd.tls', path)).not.toBeNull()
  await rm(join(path, 'key.pem'))
  await expect(loadKeyPairIfThere('etcd.tls', path)).rejects.toThrow(
    `${path}/key.pem of etcd.tls cannot be read: there is no such file or directory`,
  )
  await rm(join(path, 'cert.pem'))
  expect(await loadKeyPairIfThere('etcd.tls', path)).toBeNull()
})
