import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { holdfastDone, holdfastJson } from '../lib/programs.ts'
import { attach } from './lib/attach.ts'
import { fioVerified } from './lib/fio.ts'
import { setLink } from './lib/guest.ts'
import { startMultipathd } from './lib/multipath.ts'
import { PORTALS, useSection } from './lib/section.ts'

const section = useSection('multipath')
/** A path counts as dead after two seconds' silence, so that a cut is noticed while it lasts. */
const settings = {
  'node.conn[0].timeo.noop_out_interval': '2',
  'node.conn[0].timeo.noop_out_timeout': '2',
  'node.session.timeo.replacement_timeout': '3',
}
let map: string

const activePaths = (count: number) =>
  section.guest.eventually(
    `test $(multipathd show paths raw format "%t" | grep -cx active) = ${count} && echo yes`,
    60,
  )

beforeAll(async () => {
  await startMultipathd(section.guest)
  await holdfastDone(section.daemon, 'volume', 'create', 'paths', '128MiB')
})

test('both portals are paths of one disk, named by the WWID that the NAA makes', async () => {
  const { guest, daemon } = section
  for (const portal of PORTALS) await attach(guest, 'paths', { portal, settings })
  const { naa } = (await holdfastJson(daemon, 'volume', 'show', 'paths')) as { naa: string }
  map = `/dev/mapper/3${naa.replace(/^naa\./, '').toLowerCase()}`
  await guest.eventually(`test -b ${map}`)
  await activePaths(2)
})

test('one link cut under load: no error, nothing lost, and the path is failed', async () => {
  const load = fioVerified(section.guest, map, { seconds: 25 })
  await sleep(6000)
  await setLink(1, 'down')
  await activePaths(1)
  await load
})

test('the link back under load: both paths serve again', async () => {
  const load = fioVerified(section.guest, map, { seconds: 20 })
  await sleep(3000)
  await setLink(1, 'up')
  await activePaths(2)
  await load
})

test('the other link cut under load, and brought back: no error, nothing lost', async () => {
  const load = fioVerified(section.guest, map, { seconds: 25 })
  await sleep(4000)
  await setLink(0, 'down')
  await activePaths(1)
  await setLink(0, 'up')
  await activePaths(2)
  await load
})

test('the daemon killed and started again under load: both paths come back, nothing lost', async () => {
  const load = fioVerified(section.guest, map, { seconds: 25 })
  await sleep(5000)
  await section.daemon.kill()
  await sleep(2000)
  section.daemon = await section.daemon.restart()
  await load
  await activePaths(2)
})

test('grown online: the map grows with its paths', async () => {
  const { guest, daemon } = section
  await holdfastDone(daemon, 'volume', 'resize', 'paths', '192MiB')
  await guest.succeed(`iscsiadm -m session -R && multipathd resize map $(basename ${map})`)
  expect(await guest.succeed(`blockdev --getsize64 ${map}`)).toBe(String(192 * 1024 ** 2))
})
