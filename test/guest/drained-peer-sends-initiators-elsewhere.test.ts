import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import type { ClusterSession } from '../../src/control/cluster-sessions.ts'
import { IQN_PREFIX } from '../lib/daemon.ts'
import { attach, byPath, detach, diskOf } from './lib/attach.ts'
import { fioVerified } from './lib/fio.ts'
import { PORTALS } from './lib/section.ts'
import { useTwoGateways } from './lib/two-gateways.ts'

const section = useTwoGateways('drained')
let disk: string

/** The portal that the guest's one session is connected to. */
const connectedTo = () =>
  section.guest.succeed('cd /sys/class/iscsi_connection/* && echo $(cat address):$(cat port)')
/** How many sessions each peer has, as one of them says. */
async function sessionsOfEach(): Promise<number[]> {
  const sessions = await section.gateways.json<ClusterSession[]>(1, 'session', 'list')
  return ['a', 'b'].map(name => sessions.filter(({ peer }) => peer === name).length)
}

beforeAll(async () => {
  const copies = ['--replicas', '2', '--min-replicas', '1']
  await section.gateways.done(0, 'volume', 'create', 'disk', '128MiB', ...copies)
})

test('discovery through either peer: the portals of both, each with a portal group of its own', async () => {
  const both = PORTALS.map((portal, at) => `${portal},${at + 1} ${IQN_PREFIX}disk`)
  for (const portal of PORTALS) {
    const listed = await section.guest.succeed(`iscsiadm -m discovery -t sendtargets -p ${portal}`)
    expect(listed.split('\n').sort()).toEqual(both)
  }
})

test('drained under load: the session goes to the other peer, the disk stays the same and nothing is lost', async () => {
  const { guest, gateways } = section
  disk = await attach(guest, 'disk')
  const load = fioVerified(guest, disk, { seconds: 12 })
  await sleep(3000)
  await gateways.done(1, 'peer', 'drain', 'a')
  await expect.poll(connectedTo).toBe(PORTALS[1])
  await load
  expect(await sessionsOfEach()).toEqual([0, 1])
  expect(await diskOf(guest, byPath('disk'))).toBe(disk)
})

test('logged in anew at the drained peer: sent on, and logged out under the name of the portal that was dialled', async () => {
  const { guest } = section
  await detach(guest, 'disk')
  expect(await sessionsOfEach()).toEqual([0, 0])
  disk = await attach(guest, 'disk')
  expect(await connectedTo()).toBe(PORTALS[1])
  expect(await sessionsOfEach()).toEqual([0, 1])
})

test('the drained peer stopped under load: no error, nothing lost', async () => {
  const { guest, gateways } = section
  const load = fioVerified(guest, disk, { seconds: 8 })
  await sleep(2000)
  await gateways.kill(0)
  await load.finally(() => gateways.start(0))
})

test('that peer taken back and the other drained under load: the session comes back, nothing lost', async () => {
  const { guest, gateways } = section
  await gateways.done(1, 'peer', 'undrain', 'a')
  const load = fioVerified(guest, disk, { seconds: 12 })
  await sleep(3000)
  await gateways.done(0, 'peer', 'drain', 'b')
  await expect.poll(connectedTo).toBe(PORTALS[0])
  await load
  expect(await sessionsOfEach()).toEqual([1, 0])
  expect(await diskOf(guest, byPath('disk'))).toBe(disk)
})

test('no I/O error reached the kernel log', async () => {
  expect(await section.guest.run('dmesg | grep -iE "I/O error|Buffer I/O|offline"')).toMatchObject({
    output: '',
  })
})
