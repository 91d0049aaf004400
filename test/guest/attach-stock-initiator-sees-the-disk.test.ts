import { beforeAll, expect, test } from 'vitest'
import { IQN_PREFIX } from '../lib/daemon.ts'
import { holdfast, holdfastDone, holdfastJson } from '../lib/programs.ts'
import { attach, byPath, detach, diskOf, node } from './lib/attach.ts'
import { GUEST_IQN } from './lib/guest.ts'
import { PORTALS, useSection } from './lib/section.ts'

const section = useSection('attach')
let disk: string
let naa: string

beforeAll(async () => {
  const { daemon } = section
  await holdfastDone(daemon, 'volume', 'create', 'disk1', '64MiB')
  await holdfastDone(daemon, 'volume', 'create', 'disk2', '64MiB')
  await holdfastDone(daemon, 'target', 'acl', 'add', 'disk2', 'iqn.2026-11.com.example:somebody-else')
  const shown = (await holdfastJson(daemon, 'volume', 'show', 'disk1')) as { naa: string }
  naa = shown.naa.replace(/^naa\./, '').toLowerCase()
})

test('discovery: both portals with addresses that can be reached, and only what this initiator may use', async () => {
  const found = await section.guest.succeed(
    `iscsiadm -m discovery -t sendtargets -p ${PORTALS[0]} | sed 's/,[0-9]*//' | sort`,
  )
  expect(found.split('\n')).toEqual(PORTALS.map(portal => `${portal} ${IQN_PREFIX}disk1`))
})

test('login: a session to the portal that was dialled, under our name', async () => {
  const { guest, daemon } = section
  await guest.succeed(node('disk1', '--login'))
  const sessions = await guest.succeed('iscsiadm -m session -P 1')
  expect(sessions).toContain(`Target: ${IQN_PREFIX}disk1`)
  expect(sessions).toContain(`Current Portal: ${PORTALS[0]},`)
  expect(sessions).toContain(`Persistent Portal: ${PORTALS[0]},`)
  expect(sessions).toContain('iSCSI Session State: LOGGED_IN')
  const seen = JSON.stringify(await holdfastJson(daemon, 'session', 'list'))
  expect(seen).toContain(GUEST_IQN)
})

test('by-path: the link names the portal, the target and the LUN', async () => {
  disk = await diskOf(section.guest, byPath('disk1'))
  expect(disk).toMatch(/^\/dev\/sd[a-z]$/)
  expect(await section.guest.succeed(`blockdev --getsize64 ${disk}`)).toBe(String(64 * 1024 ** 2))
})

test('by-id: the links are made of the NAA that the volume shows', async () => {
  const links = await section.guest.succeed(
    `for l in /dev/disk/by-id/*; do test "$(readlink -f $l)" = ${disk} && basename $l; done; true`,
  )
  expect(links.split('\n')).toEqual(expect.arrayContaining([`scsi-3${naa}`, `wwn-0x${naa}`]))
  expect(await section.guest.succeed(`/lib/udev/scsi_id --whitelisted --device=${disk}`)).toBe(`3${naa}`)
})

test('INQUIRY: sg_inq reads vendor, product and SPC version', async () => {
  const inquiry = await section.guest.succeed(`sg_inq ${disk}`)
  expect(inquiry).toMatch(/Vendor identification: HOLDFAST/)
  expect(inquiry).toMatch(/Product identification: VOLUME/)
  expect(inquiry).toMatch(/Peripheral device type: disk/)
  expect(inquiry).toMatch(/CmdQue=1/)
})

test.each([
  ['sv', /Supported VPD pages/],
  ['sn', /Unit serial number: \S+/],
  ['di', /designator type: NAA/],
  ['bl', /Maximum compare and write length: [1-9]/],
  ['bdc', /Non-rotating medium/],
  ['lbpv', /Unmap command supported \(LBPU\): 1/],
])('VPD: sg_vpd understands page %s', async (page, expected) => {
  expect(await section.guest.succeed(`sg_vpd --page=${page} ${disk}`)).toMatch(expected)
})

test('VPD 0x83: the designator is the NAA that the volume shows', async () => {
  expect((await section.guest.succeed(`sg_vpd --page=di ${disk}`)).toLowerCase()).toContain(`0x${naa}`)
})

test('READ CAPACITY(16): thin, zero when unmapped, 4 KiB physical blocks', async () => {
  const capacity = await section.guest.succeed(`sg_readcap --long ${disk}`)
  expect(capacity).toMatch(/lbpme=1/)
  expect(capacity).toMatch(/lbprz=1/)
  expect(capacity).toMatch(/Logical blocks per physical block exponent=3/)
  expect(capacity).toMatch(/Logical block length=512 bytes/)
})

test('the kernel finds a write cache and flushes it', async () => {
  expect(await section.guest.succeed(`cat /sys/block/${disk.slice(5)}/queue/write_cache`)).toBe('write back')
})

test('REPORT LUNS: sg_luns lists the one LUN', async () => {
  expect(await section.guest.succeed(`sg_luns ${disk}`)).toMatch(/0000000000000000/)
})

test('an initiator that the ACL leaves out is refused at once', async () => {
  const { code } = await section.guest.run(`${node('disk2', '-o new')} && ${node('disk2', '--login')}`)
  expect([8, 19, 24]).toContain(code)
})

test('a target that does not exist is refused at once', async () => {
  const { code } = await section.guest.run(`${node('nothing', '-o new')} && ${node('nothing', '--login')}`, {
    timeoutS: 60,
  })
  expect([8, 19]).toContain(code)
})

test('a volume in use is not deleted', async () => {
  const { code, stderr } = await holdfast(section.daemon, 'volume', 'delete', 'disk1')
  expect(code).toBe(1)
  expect(stderr).toMatch(/use|session/)
})

test('logout: the disk and its links go, and the daemon forgets the session', async () => {
  const { guest, daemon } = section
  await detach(guest, 'disk1')
  await guest.eventually(`! test -e ${byPath('disk1')} && ! test -e ${disk}`)
  expect(await holdfastJson(daemon, 'session', 'list')).toEqual([])
})

test('the same disk has the same by-id name at the next login, through the other portal', async () => {
  const { guest } = section
  await attach(guest, 'disk1', { portal: PORTALS[1] })
  expect(await guest.eventually(`test -b /dev/disk/by-id/scsi-3${naa} && echo there`)).toBe('there')
  await detach(guest, 'disk1', PORTALS[1])
})
