import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeCertificates } from '../../test/guest/lib/certificates.ts'
import { temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { loadConfig } from '../config/load-config.ts'
import { certificates } from './certificates.ts'

const DAY_MS = 24 * 3_600_000

test('doctor: a certificate is told a month before it ends, and when it has', async () => {
  using directory = temporaryDirectory('certificates')
  await makeCertificates(directory.path, ['a'])
  const tlsDir = join(directory.path, 'tls')
  await mkdir(tlsDir)
  await copyFile(join(directory.path, 'ca.pem'), join(tlsDir, 'ca.pem'))
  const config = loadConfig({ flags: { tlsDir, 'nbd.tls': 'required' } })
  const file = join(tlsDir, 'cert.pem')
  expect(await certificates(config)).toMatchObject({
    state: 'failure',
    says: `${file} cannot be read (there is no such file or directory): the daemon could not start again`,
  })
  await writeFile(file, 'half of one')
  expect((await certificates(config)).state).toBe('failure')
  await copyFile(join(directory.path, 'a-cert.pem'), file)
  const after = (days: number) => certificates(config, Date.now() + days * DAY_MS)
  expect((await after(-60)).state).toBe('ok')
  expect(await after(0)).toMatchObject({ state: 'warning', says: expect.stringContaining(' ends on ') })
  expect(await certificates(loadConfig({}))).toMatchObject({ state: 'ok', says: 'none in use' })
  expect(await after(10_000)).toMatchObject({ state: 'failure', says: expect.stringContaining(' ended on ') })
})
