import { expect, test } from 'vitest'
import { ChapAlgorithm } from '../../src/iscsi-target/chap/chap-algorithm.ts'
import type { ChapPolicy } from '../../src/iscsi-target/target-directory.ts'
import { Initiator } from '../lib/initiator/initiator.ts'
import { IscsiPortal, TARGET_NAME } from '../lib/iscsi-portal.ts'

const AUTHENTICATION_FAILURE = 0x0201
const POLICY: ChapPolicy = {
  user: 'alice',
  secret: Buffer.from('a secret of alice'),
  mutual: { user: 'disk', secret: Buffer.from('a secret of the disk') },
}
const ALICE = { user: 'alice', secret: 'a secret of alice' }
const DISK = { user: 'disk', secret: 'a secret of the disk' }

const CASES = Object.entries(ChapAlgorithm).flatMap(([name, algorithm]) => [
  { name, algorithm, encoding: 'hex' as const },
  { name, algorithm, encoding: 'base64' as const },
])

test.each(CASES)(
  '$name in $encoding: both sides prove themselves and I/O works',
  async ({ algorithm, encoding }) => {
    await using portal = await IscsiPortal.open({ chap: POLICY })
    await using initiator = await Initiator.connect(portal.port)
    const chap = { ...ALICE, algorithms: String(algorithm), encoding, mutual: DISK }
    const answer = await initiator.login({ targetName: TARGET_NAME, chap })
    expect(answer).toMatchObject({ status: 0, chapAlgorithm: algorithm })
    expect(await initiator.read(0, 1)).toHaveLength(512)
  },
)

test('algorithms: the strongest that is allowed wins, though the initiator names it last', async () => {
  await using portal = await IscsiPortal.open({ chap: POLICY })
  await using initiator = await Initiator.connect(portal.port)
  const chap = { ...ALICE, algorithms: '5,6,7,8' }
  expect(await initiator.login({ targetName: TARGET_NAME, chap })).toMatchObject({ chapAlgorithm: 8 })
})

test('one-way: a target with a mutual secret serves initiators that do not ask for it', async () => {
  await using portal = await IscsiPortal.open({ chap: POLICY })
  await using initiator = await Initiator.connect(portal.port)
  expect((await initiator.login({ targetName: TARGET_NAME, chap: ALICE })).status).toBe(0)
})

test.each([
  ['a wrong secret', { ...ALICE, secret: 'not the secret' }],
  ['a wrong user', { ...ALICE, user: 'bob' }],
  ['an algorithm that is unknown', { ...ALICE, algorithms: '9' }],
])('refused: %s', async (_, chap) => {
  await using portal = await IscsiPortal.open({ chap: POLICY })
  await using initiator = await Initiator.connect(portal.port)
  expect((await initiator.login({ targetName: TARGET_NAME, chap })).status).toBe(AUTHENTICATION_FAILURE)
  await initiator.channel.closed
  expect(portal.target.sessions()).toHaveLength(0)
})

test('refused: no authentication where it is needed', async () => {
  await using portal = await IscsiPortal.open({ chap: POLICY })
  await using initiator = await Initiator.connect(portal.port)
  expect((await initiator.login({ targetName: TARGET_NAME })).status).toBe(AUTHENTICATION_FAILURE)
})

test('reflection: our challenge sent back closes the connection without an answer', async () => {
  await using portal = await IscsiPortal.open({ chap: POLICY })
  await using initiator = await Initiator.connect(portal.port)
  await expect(
    initiator.login({ targetName: TARGET_NAME, chap: { ...ALICE, reflect: true } }),
  ).rejects.toThrow('the connection closed')
})

test('discovery: has credentials of its own', async () => {
  const discoveryChap = { user: 'scout', secret: Buffer.from('a secret of scouts') }
  await using portal = await IscsiPortal.open({ chap: POLICY, discoveryChap })
  await using initiator = await Initiator.connect(portal.port)
  const chap = { user: 'scout', secret: 'a secret of scouts', algorithms: '7' }
  expect((await initiator.login({ targetName: null, chap })).status).toBe(0)
  expect(await initiator.text('SendTargets=All\0')).toBe(
    `TargetName=${TARGET_NAME}\0TargetAddress=127.0.0.1:${portal.port},1\0`,
  )
  await using other = await Initiator.connect(portal.port)
  expect((await other.login({ targetName: null, chap: ALICE })).status).toBe(AUTHENTICATION_FAILURE)
})
