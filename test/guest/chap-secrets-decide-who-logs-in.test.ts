import { beforeAll, describe, expect, test } from 'vitest'
import { holdfastDone, holdfastJson } from '../lib/programs.ts'
import { writeSecret } from '../lib/secret-file.ts'
import { attach, detach, node, recordScript } from './lib/attach.ts'
import { PORTALS, useSection } from './lib/section.ts'

/** iscsiadm(8): ISCSI_ERR_LOGIN_AUTH_FAILED, what the target said; ISCSI_ERR_FATAL_LOGIN, what the initiator found. */
const AUTHENTICATION_FAILED = 24
const FATAL_LOGIN = 19
const section = useSection('chap')
const [USER, SECRET] = ['host-a', 'sixteen-letters-']
const [MUTUAL_USER, MUTUAL_SECRET] = ['storage-a', 'fourteen-of-us']
const WRONG = 'sixteen-Letters-'

const oneWay = (secret: string) => ({
  'node.session.auth.authmethod': 'CHAP',
  'node.session.auth.username': USER,
  'node.session.auth.password': secret,
})
const mutual = (secret: string) => ({
  ...oneWay(SECRET),
  'node.session.auth.username_in': MUTUAL_USER,
  'node.session.auth.password_in': secret,
})

beforeAll(async () => {
  const { daemon, directory } = section
  const user = ['--user', USER, '--secret-file', writeSecret(directory, 'secret', SECRET)]
  const theirs = writeSecret(directory, 'mutual', MUTUAL_SECRET)
  for (const name of ['one-way', 'both-ways']) await holdfastDone(daemon, 'volume', 'create', name, '32MiB')
  await holdfastDone(daemon, 'target', 'chap', 'set', 'one-way', ...user)
  const both = [...user, '--mutual-user', MUTUAL_USER, '--mutual-secret-file', theirs]
  await holdfastDone(daemon, 'target', 'chap', 'set', 'both-ways', ...both)
})

/** Exit code of iscsiadm's login with these settings. */
async function loginCode(name: string, settings: Record<string, string>): Promise<number> {
  await section.guest.succeed(recordScript(name, { settings }))
  const { code } = await section.guest.run(node(name, '--login'), { timeoutS: 60 })
  // Whoever got in wrongly must not stand in the way of the next.
  if (code === 0) await section.guest.succeed(node(name, '--logout'))
  await section.guest.succeed(node(name, '-o delete'))
  return code
}

describe('one-way', () => {
  test('the right secret logs in, and the disk is read', async () => {
    const disk = await attach(section.guest, 'one-way', { settings: oneWay(SECRET) })
    await section.guest.succeed(`dd if=${disk} of=/dev/null bs=1M count=32 iflag=direct`)
    await detach(section.guest, 'one-way')
  })

  test('a wrong secret is refused with 24', async () => {
    expect(await loginCode('one-way', oneWay(WRONG))).toBe(AUTHENTICATION_FAILED)
  })

  test('a wrong user is refused with 24', async () => {
    const settings = { ...oneWay(SECRET), 'node.session.auth.username': 'host-b' }
    expect(await loginCode('one-way', settings)).toBe(AUTHENTICATION_FAILED)
  })

  test('no credentials are refused with 24', async () => {
    expect(await loginCode('one-way', {})).toBe(AUTHENTICATION_FAILED)
  })

  test.each(['MD5', 'SHA1', 'SHA256', 'SHA3-256'])(
    '%s alone logs in, and a wrong secret does not',
    async hash => {
      const settings = { ...oneWay(SECRET), 'node.session.auth.chap_algs': hash }
      await attach(section.guest, 'one-way', { settings })
      await detach(section.guest, 'one-way')
      const wrong = { ...oneWay(WRONG), 'node.session.auth.chap_algs': hash }
      expect(await loginCode('one-way', wrong)).toBe(AUTHENTICATION_FAILED)
    },
  )

  test('all hashes together, MD5 last or first, log in', async () => {
    for (const hashes of ['SHA3-256,SHA256,SHA1,MD5', 'MD5,SHA1,SHA256,SHA3-256']) {
      const settings = { ...oneWay(SECRET), 'node.session.auth.chap_algs': hashes }
      await attach(section.guest, 'one-way', { settings })
      await detach(section.guest, 'one-way')
    }
  })
})

describe('mutual', () => {
  test('both secrets right: the login is done', async () => {
    await attach(section.guest, 'both-ways', { settings: mutual(MUTUAL_SECRET) })
    await detach(section.guest, 'both-ways')
  })

  test('a target that proves another secret is left by the initiator', async () => {
    expect(await loginCode('both-ways', mutual('thirteen-of-u'))).toBe(FATAL_LOGIN)
    expect(await holdfastJson(section.daemon, 'session', 'list')).toEqual([])
  })

  test("a wrong initiator's secret is refused with 24", async () => {
    const settings = { ...mutual(MUTUAL_SECRET), 'node.session.auth.password': WRONG }
    expect(await loginCode('both-ways', settings)).toBe(AUTHENTICATION_FAILED)
  })
})

describe('discovery', () => {
  const discover = async (settings: Record<string, string>): Promise<{ code: number; output: string }> => {
    const record = `iscsiadm -m discoverydb -t sendtargets -p ${PORTALS[0]}`
    const updates = Object.entries(settings).map(
      ([key, value]) => `${record} -o update -n ${key} -v '${value}'`,
    )
    await section.guest.succeed([`set -e\n${record} -o new`, ...updates].join('\n'))
    const found = await section.guest.run(`${record} --discover`, { timeoutS: 60 })
    await section.guest.succeed(`${record} -o delete`)
    return found
  }
  const credentials = (secret: string) => ({
    'discovery.sendtargets.auth.authmethod': 'CHAP',
    'discovery.sendtargets.auth.username': USER,
    'discovery.sendtargets.auth.password': secret,
  })
  beforeAll(async () => {
    const secretFile = writeSecret(section.directory, 'discovery', SECRET)
    await holdfastDone(
      section.daemon,
      'discovery',
      'chap',
      'set',
      '--user',
      USER,
      '--secret-file',
      secretFile,
    )
  })

  test('the right secret lists the targets', async () => {
    const { code, output } = await discover(credentials(SECRET))
    expect(code, output).toBe(0)
    expect(output).toContain('one-way')
  })

  test('a wrong secret is refused with 24', async () => {
    expect((await discover(credentials(WRONG))).code).toBe(AUTHENTICATION_FAILED)
  })

  test('no credentials are refused with 24', async () => {
    expect((await discover({})).code).toBe(AUTHENTICATION_FAILED)
  })
})

describe('digests', () => {
  beforeAll(() => holdfastDone(section.daemon, 'volume', 'create', 'digests', '64MiB'))

  test.each([
    ['CRC32C', 'None'],
    ['None', 'CRC32C'],
    ['CRC32C', 'CRC32C'],
  ])('header %s and data %s: fio verifies what it wrote to the raw disk', async (header, data) => {
    const { guest, daemon } = section
    const settings = {
      'node.conn[0].iscsi.HeaderDigest': header,
      'node.conn[0].iscsi.DataDigest': data,
    }
    const disk = await attach(guest, 'digests', { settings })
    expect(await guest.succeed('cat /sys/class/iscsi_connection/*/{header,data}_digest')).toBe(
      `${Number(header === 'CRC32C')}\n${Number(data === 'CRC32C')}`,
    )
    const sessions = await holdfastJson(daemon, 'session', 'list')
    expect(sessions).toMatchObject([{ headerDigest: header === 'CRC32C', dataDigest: data === 'CRC32C' }])
    await guest.succeed(
      `fio --name=d --filename=${disk} --rw=randrw --bsrange=512-128k --bs_unaligned=0 --size=32m --direct=1 ` +
        '--ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --randrepeat=0',
      { timeoutS: 120 },
    )
    await detach(guest, 'digests')
  })
})
