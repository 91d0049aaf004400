import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ConnectionProperties } from '../../src/control/connection-properties.ts'
import { holdfastDone, holdfastJson } from '../lib/programs.ts'
import { connectVolume, disconnectVolume } from './lib/connections.ts'
import { GUEST_IQN, setLink } from './lib/guest.ts'
import { startMultipathd } from './lib/multipath.ts'
import { type ConnectedDevice, OsBrick } from './lib/os-brick.ts'
import { PORTALS, useSection } from './lib/section.ts'

const MIB = 1024 ** 2
/** While this is there, a loop in the guest writes. */
const WRITING = '/run/writing'
const section = useSection('cinder')

const sessionsHere = () => holdfastJson(section.daemon, 'session', 'list')
const noSessionInGuest = () => section.guest.eventually('! ls -d /sys/class/iscsi_session/* 2> /dev/null')

async function wwnOf(volume: string): Promise<string> {
  const { naa } = (await holdfastJson(section.daemon, 'volume', 'show', volume)) as { naa: string }
  return `3${naa.replace(/^naa\./, '').toLowerCase()}`
}

beforeAll(async () => {
  // A dead portal would cost two minutes.
  await section.guest.succeed(`sed -i -e '/login_timeout\\|initial_login_retry_max/d' /etc/iscsi/iscsid.conf
    echo 'node.conn[0].timeo.login_timeout = 5' >> /etc/iscsi/iscsid.conf
    echo 'node.session.initial_login_retry_max = 1' >> /etc/iscsi/iscsid.conf`)
  await Promise.all([startMultipathd(section.guest), OsBrick.start(section.guest)])
})

describe.each([
  ['one path', 'single', false],
  ['multipath', 'several', true],
] as const)('%s', (_title, volume, multipath) => {
  let brick: OsBrick
  let connection: ConnectionProperties
  let device: ConnectedDevice

  beforeAll(async () => {
    brick = new OsBrick(section.guest, multipath)
    await holdfastDone(section.daemon, 'volume', 'create', volume, '64MiB')
  })

  test('the host names its initiator, and the API answers with every portal and CHAP', async () => {
    const host = await brick.properties()
    expect(host).toMatchObject({ initiator: GUEST_IQN, multipath })
    connection = await connectVolume(section.daemon, volume, host.initiator)
    expect(connection.target_portals).toEqual(PORTALS)
    expect(connection.auth_method).toBe('CHAP')
  })

  test('connect: os-brick finds the disk by the WWN that the volume shows', async () => {
    const { guest } = section
    device = await brick.connect(connection)
    const wwn = await wwnOf(volume)
    expect(device.scsi_wwn).toBe(wwn)
    if (multipath) expect(device.multipath_id).toBe(wwn)
    const paths = await guest.succeed('ls -d /sys/class/iscsi_session/* | wc -l')
    expect(paths).toBe(multipath ? '2' : '1')
    const user = await guest.succeed('cat /sys/class/iscsi_session/*/username | sort -u')
    expect(user).toBe(connection.auth_username)
    await guest.succeed(`yes connected | dd of=${device.path} bs=1M count=32 iflag=fullblock oflag=direct`)
  })

  test('extend: the host sees the new size while it is connected', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'volume', 'resize', volume, '96MiB')
    expect(await brick.extend(connection)).toBe(96 * MIB)
    expect(await guest.succeed(`blockdev --getsize64 ${device.path}`)).toBe(String(96 * MIB))
    await guest.succeed(
      `dd if=${device.path} bs=1M count=32 iflag=direct | cmp -n ${32 * MIB} - <(yes connected)`,
    )
  })

  test('disconnect: disks, map and sessions are gone on both sides', async () => {
    const { guest, daemon } = section
    await brick.disconnect(connection, device)
    await noSessionInGuest()
    expect(await guest.succeed('ls /dev/disk/by-path | grep -c iscsi || true')).toBe('0')
    expect(await guest.succeed('ls /sys/block | grep -c ^dm- || true')).toBe('0')
    await expect.poll(sessionsHere).toEqual([])
    await disconnectVolume(daemon, volume, GUEST_IQN)
  })

  test('the connection taken back: its properties let nobody in any more', async () => {
    await expect(brick.connect(connection)).rejects.toThrow(
      /TargetPortalNotFound|VolumeDeviceNotFound|Failed/,
    )
    expect(await sessionsHere()).toEqual([])
  })
})

test('one portal dead: os-brick attaches over the other, and finds what was written', async () => {
  const { guest, daemon } = section
  const brick = new OsBrick(guest, true)
  const connection = await connectVolume(daemon, 'several', GUEST_IQN)
  await setLink(1, 'down')
  try {
    const device = await brick.connect(connection)
    await guest.succeed(
      `dd if=${device.path} bs=1M count=32 iflag=direct | cmp -n ${32 * MIB} - <(yes connected)`,
    )
    await brick.disconnect(connection, device)
  } finally {
    await setLink(1, 'up')
  }
  await noSessionInGuest()
})

describe('an initiator that is shut out while it writes', () => {
  let connection: ConnectionProperties
  const contents = async (): Promise<string> => {
    const file = join(section.directory, 'contents')
    await holdfastDone(section.daemon, 'volume', 'export', 'fenced', file)
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  }

  test('its sessions end, and from the answer on nothing that it writes arrives', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'volume', 'create', 'fenced', '32MiB')
    connection = await connectVolume(daemon, 'fenced', GUEST_IQN)
    const device = await new OsBrick(guest, false).connect(connection)
    const write = `dd if=/dev/urandom of=${device.path} bs=1M count=32 oflag=direct conv=nocreat`
    await guest.succeed(
      `touch ${WRITING} && nohup bash -c 'while test -e ${WRITING}; do ${write}; done' &> /dev/null &`,
    )
    await sleep(3000)
    const before = await contents()
    await expect.poll(contents).not.toBe(before)
    await disconnectVolume(daemon, 'fenced', GUEST_IQN)
    const fenced = await contents()
    expect(await sessionsHere()).toEqual([])
    await sleep(5000)
    expect(await contents()).toBe(fenced)
  })

  test('the event log says who was let in and shut out', async () => {
    const events = (await holdfastJson(section.daemon, 'events')) as { kind: string; subject: string }[]
    const kinds = events.filter(({ subject }) => subject === 'fenced').map(({ kind }) => kind)
    expect(kinds).toEqual(['connection.ended', 'connection.made', 'volume.created'])
  })

  test('let in again it has other credentials, and with them its disk', async () => {
    const { guest, daemon } = section
    const again = await connectVolume(daemon, 'fenced', GUEST_IQN)
    expect(again.auth_password).not.toBe(connection.auth_password)
    expect(await connectVolume(daemon, 'fenced', GUEST_IQN)).toEqual(again)
    await guest.run(`rm ${WRITING}; iscsiadm -m node --logout; iscsiadm -m node -o delete`)
    await noSessionInGuest()
    const device = await new OsBrick(guest, false).connect(again)
    expect(device.scsi_wwn).toBe(await wwnOf('fenced'))
    await guest.succeed(`dd if=${device.path} of=/dev/null bs=1M count=32 iflag=direct`)
  })
})
