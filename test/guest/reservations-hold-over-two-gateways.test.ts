import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { attach, byPath, diskOf, node } from './lib/attach.ts'
import { PORTALS } from './lib/section.ts'
import { useTwoGateways } from './lib/two-gateways.ts'

const [KEY, OTHER_KEY] = ['0xabc1', '0xabc2']
const OTHER_IQN = 'iqn.2026-11.io.holdfast.test:other'
/** Write exclusive, registrants only. */
const TYPE = '--prout-type=5'
/** While this is there, a loop in the guest writes. */
const WRITING = '/run/writing'
/** sg3_utils(8): SG_LIB_CAT_RES_CONFLICT, SG_LIB_CAT_UNIT_ATTENTION. */
const [RESERVATION_CONFLICT, UNIT_ATTENTION] = [24, 6]
/** More in a row than there are reasons for. */
const ATTEMPTS_MAX = 8

const section = useTwoGateways('reservations')
/** The volume as `guest` has it through the first gateway, and as `other` has it through the second. */
let mine: string
let others: string

/** Without the first lines, which name the device. */
const persistIn = (disk: string, what: string) =>
  section.guest.succeed(`sg_persist --in --${what} ${disk} | grep -v '^ *\\(HOLDFAST\\|Peripheral\\)'`)
const persistOut = (disk: string, what: string) => section.guest.succeed(`sg_persist --out ${what} ${disk}`)
/** A command that a unit attention ended was not begun: as every host does, it is sent again. */
const writeBlock = (disk: string) =>
  section.guest.run(`for attempt in $(seq ${ATTEMPTS_MAX}); do
      sg_raw -s 512 -i /dev/zero ${disk} 2a 00 00 00 00 00 00 00 01 00
      code=$?
      test $code = ${UNIT_ATTENTION} || exit $code
    done
    exit $code`)
const contents = () =>
  section.guest.succeed(`dd if=${others} bs=1M count=8 iflag=direct 2> /dev/null | sha256sum`)

beforeAll(async () => {
  await section.gateways.done(0, 'volume', 'create', 'shared', '64MiB', '--replicas', '2')
})

test('two initiators have one volume, each through a gateway of its own', async () => {
  const { guest } = section
  mine = await attach(guest, 'shared', { portal: PORTALS[0] })
  const viaOther = (rest: string) => node('shared', `-I other ${rest}`, PORTALS[1])
  await guest.succeed(`set -e
    iscsiadm -m iface -I other -o new
    iscsiadm -m iface -I other -o update -n iface.initiatorname -v ${OTHER_IQN}
    ${viaOther('-o new')}
    ${viaOther('--login')}`)
  others = await diskOf(guest, byPath('shared', { portal: PORTALS[1] }))
  expect(others).not.toBe(mine)
  await guest.succeed(`set -e
    yes mine | dd of=${mine} bs=1M count=8 iflag=fullblock oflag=direct
    dd if=${others} bs=1M count=8 iflag=direct | cmp -n ${8 * 1024 ** 2} - <(yes mine)`)
})

test('registrations and a reservation are the same through both gateways', async () => {
  await persistOut(mine, `--register --param-aptpl --param-sark=${KEY}`)
  await persistOut(others, `--register --param-aptpl --param-sark=${OTHER_KEY}`)
  await persistOut(mine, `--reserve --param-rk=${KEY} ${TYPE}`)
  const seen = await Promise.all([persistIn(mine, 'read-full-status'), persistIn(others, 'read-full-status')])
  expect(seen[0]).toContain(KEY)
  expect(seen[0]).toContain(OTHER_KEY)
  expect(seen[0]).toContain(OTHER_IQN)
  expect(seen[0]).toMatch(/Write Exclusive, registrants only/i)
  expect(seen[1]).toBe(seen[0])
  expect(await persistIn(others, 'read-reservation')).toContain(KEY)
  expect([(await writeBlock(mine)).code, (await writeBlock(others)).code]).toEqual([0, 0])
})

test('who is not registered reads through one gateway, and writes no more than through the other', async () => {
  const { guest } = section
  await persistOut(others, `--register --param-rk=${OTHER_KEY} --param-sark=0`)
  expect((await writeBlock(others)).code).toBe(RESERVATION_CONFLICT)
  await guest.succeed(`dd if=${others} of=/dev/null bs=4k count=1 iflag=direct`)
  expect((await writeBlock(mine)).code).toBe(0)
  await persistOut(others, `--register --param-aptpl --param-sark=${OTHER_KEY}`)
  expect((await writeBlock(others)).code).toBe(0)
})

test('both daemons killed and started again: with APTPL the same registrations and reservation', async () => {
  const { guest, gateways } = section
  const before = await persistIn(mine, 'read-full-status')
  await gateways.restart()
  for (const disk of [mine, others]) await guest.eventually(`sg_turs ${disk}`)
  expect(withoutGeneration(await persistIn(mine, 'read-full-status'))).toBe(withoutGeneration(before))
  expect(await persistIn(others, 'read-full-status')).toBe(await persistIn(mine, 'read-full-status'))
  expect([(await writeBlock(mine)).code, (await writeBlock(others)).code]).toEqual([0, 0])
})

test('PREEMPT AND ABORT through one gateway: nothing that is written through the other arrives any more', async () => {
  const { guest } = section
  const write = `dd if=/dev/urandom of=${mine} bs=256k count=32 oflag=direct conv=nocreat`
  await guest.succeed(
    `touch ${WRITING} && nohup bash -c 'while test -e ${WRITING}; do ${write}; done' &> /dev/null &`,
  )
  const before = await contents()
  await expect.poll(contents).not.toBe(before)
  await persistOut(others, `--preempt-abort --param-rk=${OTHER_KEY} --param-sark=${KEY} ${TYPE}`)
  const fenced = await contents()
  await sleep(3000)
  expect(await contents()).toBe(fenced)
  await guest.succeed(`rm ${WRITING}`)
  expect((await writeBlock(mine)).code).toBe(RESERVATION_CONFLICT)
  for (const disk of [mine, others]) expect(await persistIn(disk, 'read-keys')).not.toContain(KEY)
  expect((await writeBlock(others)).code).toBe(0)
})

/** PRgeneration starts anew with a daemon. SPC-5 §6.16.2. */
function withoutGeneration(status: string): string {
  return status.replace(/PR generation=0x[0-9a-f]+/i, '')
}
