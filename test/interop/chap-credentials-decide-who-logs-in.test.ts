import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { holdfast, holdfastDone, run, succeed } from '../lib/programs.ts'
import { inspect } from '../lib/qemu-iscsi.ts'
import { writeSecret } from '../lib/secret-file.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

const USER = 'host-a'
const SECRET = 'sixteen-letters-'
const MUTUAL_USER = 'storage-a'
const MUTUAL_SECRET = 'fourteen-of-us'
const WRONG_SECRET = 'sixteen-Letters-'

let directory: TemporaryDirectory
let daemon: Daemon
let secretFile: string
let mutualSecretFile: string

beforeAll(async () => {
  directory = temporaryDirectory('chap')
  daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  secretFile = writeSecret(directory.path, 'secret', SECRET)
  mutualSecretFile = writeSecret(directory.path, 'mutual', MUTUAL_SECRET)
  const user = ['--user', USER, '--secret-file', secretFile]
  const mutual = ['--mutual-user', MUTUAL_USER, '--mutual-secret-file', mutualSecretFile]
  for (const name of ['one-way', 'both-ways']) await holdfastDone(daemon, 'volume', 'create', name, '32MiB')
  await holdfastDone(daemon, 'target', 'chap', 'set', 'one-way', ...user)
  await holdfastDone(daemon, 'target', 'chap', 'set', 'both-ways', ...user, ...mutual)
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

const inquire = (volume: string, credentials?: string, query?: string) =>
  run('iscsi-inq', [daemon.url(volume, { ...(credentials && { credentials }), ...(query && { query }) })])

describe('one-way CHAP', () => {
  test('libiscsi logs in with the right secret', async () => {
    expect((await inquire('one-way', `${USER}%${SECRET}`)).code).toBe(0)
  })

  test('libiscsi is refused with a wrong secret', async () => {
    const { code, stdout, stderr } = await inquire('one-way', `${USER}%${WRONG_SECRET}`)
    expect(code).not.toBe(0)
    expect(stdout + stderr).toMatch(/authentication failure/i)
  })

  test('libiscsi is refused without credentials', async () => {
    expect((await inquire('one-way')).code).not.toBe(0)
  })

  test('qemu logs in with the right secret and is refused with a wrong one', async () => {
    expect((await inspect(daemon, 'one-way', { user: USER, secret: SECRET })).code).toBe(0)
    expect((await inspect(daemon, 'one-way', { user: USER, secret: WRONG_SECRET })).code).not.toBe(0)
  })
})

describe('mutual CHAP', () => {
  const expecting = (secret: string) => `target_user=${MUTUAL_USER}&target_password=${secret}`

  test('libiscsi believes a target that knows the mutual secret', async () => {
    const { code, stdout, stderr } = await inquire('both-ways', `${USER}%${SECRET}`, expecting(MUTUAL_SECRET))
    expect(code, stdout + stderr).toBe(0)
  })

  test('libiscsi leaves a target whose mutual secret is another', async () => {
    expect((await inquire('both-ways', `${USER}%${SECRET}`, expecting('another-secret'))).code).not.toBe(0)
  })
})

describe('discovery CHAP', () => {
  test('SendTargets needs the credentials while it is set, and nothing after it is cleared', async () => {
    await holdfastDone(daemon, 'discovery', 'chap', 'set', '--user', USER, '--secret-file', secretFile)
    const portal = daemon.iscsi[0]
    expect((await run('iscsi-ls', [`iscsi://${portal}`])).code).not.toBe(0)
    expect(await succeed('iscsi-ls', [`iscsi://${USER}%${SECRET}@${portal}`])).toContain('one-way')
    await holdfastDone(daemon, 'discovery', 'chap', 'clear')
    expect(await succeed('iscsi-ls', [`iscsi://${portal}`])).toContain('one-way')
  })
})

test('a secret of less than 12 bytes is refused in one sentence', async () => {
  const short = writeSecret(directory.path, 'short', 'elevenbytes')
  const { code, stderr } = await holdfast(
    daemon,
    'target',
    'chap',
    'set',
    'one-way',
    '--user',
    USER,
    '--secret-file',
    short,
  )
  expect(code).toBe(1)
  expect(stderr.trim().split('\n')).toHaveLength(1)
})
