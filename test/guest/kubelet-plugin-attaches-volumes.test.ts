import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { IQN_PREFIX } from '../lib/daemon.ts'
import { holdfastDone, holdfastJson } from '../lib/programs.ts'
import { writeSecret } from '../lib/secret-file.ts'
import { setLink } from './lib/guest.ts'
import { Kubelet, type KubeletVolume } from './lib/kubelet.ts'
import { startMultipathd } from './lib/multipath.ts'
import { PORTALS, useSection } from './lib/section.ts'

const section = useSection('kubelet')
const POD_IQN = 'iqn.2026-11.io.holdfast.test:pod'
const [SECRET, MUTUAL_SECRET] = ['sixteen-letters-', 'fourteen-of-us']
/** Kubelet's name for the iface of the volume `secret`. */
const IFACE = `${PORTALS[0]}:secret`
const PODS = '/var/lib/kubelet/pods'
let kubelet: Kubelet

const volume = (name: string, more: Partial<KubeletVolume> = {}): KubeletVolume => ({
  name,
  iqn: `${IQN_PREFIX}${name}`,
  portals: [PORTALS[0]],
  lun: 0,
  ...more,
})
/** Nothing of `of` may be left on the node or at the daemon. */
async function expectNothingLeft(of: KubeletVolume): Promise<void> {
  const { guest, daemon } = section
  await guest.eventually(`! ls /dev/disk/by-path | grep -F ${of.iqn}`)
  expect((await guest.run('iscsiadm -m session')).code).toBe(21)
  for (const portal of of.portals)
    expect((await guest.run(`iscsiadm -m node -T ${of.iqn} -p ${portal}`)).code).toBe(21)
  expect(await guest.succeed('iscsiadm -m iface')).not.toContain(`:${of.name}`)
  expect(await holdfastJson(daemon, 'session', 'list')).toEqual([])
}

/** A dead portal costs 90 s an attempt with open-iscsi's defaults, of which kubelet makes five. */
const IMPATIENCE = ['discovery.sendtargets.reopen_max = 0', 'discovery.sendtargets.timeo.login_timeout = 3']

beforeAll(async () => {
  kubelet = new Kubelet(section.guest)
  await section.guest.succeed(`printf '%s\\n' '${IMPATIENCE.join("' '")}' >> /etc/iscsi/iscsid.conf`)
  for (const name of ['plain', 'secret', 'many', 'raw'])
    await holdfastDone(section.daemon, 'volume', 'create', name, '96MiB')
})

describe('one portal', () => {
  test('attached, formatted, mounted and written', async () => {
    const device = await kubelet.attach(volume('plain'))
    await kubelet.formatAndMount(device, `${PODS}/plain`)
    await section.guest.succeed(`echo kept > ${PODS}/plain/file && sync -f ${PODS}/plain`)
  })

  test('detached: disk, session, records and iface are gone', async () => {
    await kubelet.detach(volume('plain'), `${PODS}/plain`)
    await expectNothingLeft(volume('plain'))
  })

  test('attached again it is checked, not formatted, and holds what was written', async () => {
    const device = await kubelet.attach(volume('plain'))
    await kubelet.formatAndMount(device, `${PODS}/plain`)
    expect(await section.guest.succeed(`cat ${PODS}/plain/file`)).toBe('kept')
    await kubelet.detach(volume('plain'), `${PODS}/plain`)
  })

  test('read-only: the volume is mounted and cannot be written', async () => {
    await holdfastDone(section.daemon, 'volume', 'set', 'plain', '--read-only', 'on')
    const device = await kubelet.attach(volume('plain'))
    expect(await section.guest.succeed(`blockdev --getro ${device}`)).toBe('1')
    await kubelet.formatAndMount(device, `${PODS}/plain`, { readOnly: true })
    expect(await section.guest.succeed(`cat ${PODS}/plain/file`)).toBe('kept')
    expect((await section.guest.run(`touch ${PODS}/plain/other`)).code).not.toBe(0)
    await kubelet.detach(volume('plain'), `${PODS}/plain`)
    await holdfastDone(section.daemon, 'volume', 'set', 'plain', '--read-only', 'off')
  })

  test('single-LUN scan: only the LUN of the volume becomes a disk', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'target', 'lun', 'add', 'plain', '1', 'raw')
    await kubelet.attach(volume('plain', { lun: 1 }))
    const disks = await guest.succeed('ls /dev/disk/by-path | grep -F plain')
    expect(disks).toMatch(/lun-1$/)
    expect(disks).not.toMatch(/lun-0/)
    await kubelet.detach(volume('plain', { lun: 1 }))
    await holdfastDone(daemon, 'target', 'lun', 'remove', 'plain', '1')
  })
})

describe('CHAP and an iface of its own', () => {
  const chap = {
    username: 'pod',
    password: SECRET,
    username_in: 'storage',
    password_in: MUTUAL_SECRET,
  }
  const withSecrets = () =>
    volume('secret', { initiatorName: POD_IQN, sessionChap: chap, discoveryChap: chap })

  beforeAll(async () => {
    const { daemon, directory } = section
    const files = ['--user', 'pod', '--secret-file', writeSecret(directory, 'secret', SECRET)]
    const mutual = [
      '--mutual-user',
      'storage',
      '--mutual-secret-file',
      writeSecret(directory, 'm', MUTUAL_SECRET),
    ]
    await holdfastDone(daemon, 'target', 'acl', 'add', 'secret', POD_IQN)
    await holdfastDone(daemon, 'target', 'chap', 'set', 'secret', ...files, ...mutual)
    await holdfastDone(daemon, 'discovery', 'chap', 'set', ...files, ...mutual)
    return () => holdfastDone(daemon, 'discovery', 'chap', 'clear')
  })

  // Whoever got in wrongly must not stand in the way of the next.
  afterEach(() =>
    section.guest.run(`iscsiadm -m session &&
      { iscsiadm -m node --logoutall=all; iscsiadm -m node -o delete; iscsiadm -m iface -I ${IFACE} -o delete; }`),
  )

  test('attached under the name of the volume, formatted, mounted and detached', async () => {
    const device = await kubelet.attach(withSecrets())
    expect(await holdfastJson(section.daemon, 'session', 'list')).toMatchObject([{ initiator: POD_IQN }])
    await kubelet.formatAndMount(device, `${PODS}/secret`)
    await section.guest.succeed(`echo kept > ${PODS}/secret/file && sync -f ${PODS}/secret`)
    await kubelet.detach(withSecrets(), `${PODS}/secret`)
    await expectNothingLeft(withSecrets())
  })

  test('a wrong secret of the session: no path, authentication failed, and no iface stays', async () => {
    const wrong = { ...withSecrets(), sessionChap: { ...chap, password: 'sixteen-Letters-' } }
    await expect(kubelet.attach(wrong)).rejects.toThrow(/login at .* ended with 24/)
    await expectNothingLeft(wrong)
  })

  test('a wrong secret of discovery: no path, authentication failed', async () => {
    const wrong = { ...withSecrets(), discoveryChap: { ...chap, password: 'sixteen-Letters-' } }
    await expect(kubelet.attach(wrong)).rejects.toThrow(/discovery at .* ended with 24/)
    await expectNothingLeft(wrong)
  })

  test("the node's own name is not in the ACL: no path", async () => {
    const { initiatorName: _, ...own } = withSecrets()
    await expect(kubelet.attach(own)).rejects.toThrow(/no path/)
  })
})

describe('holdfast volume manifest', () => {
  /** As kubelet reads it: of the Secret the keys of the session's record. */
  const printed = async (): Promise<KubeletVolume> => {
    const { items } = (await holdfastJson(section.daemon, 'volume', 'manifest', 'printed')) as {
      items: { kind: string; spec: never; stringData: Record<string, string> }[]
    }
    const { iscsi } = items.find(({ kind }) => kind === 'PersistentVolume')!.spec
    const { targetPortal, portals = [], iqn, lun, initiatorName } = iscsi
    const { stringData } = items.find(({ kind }) => kind === 'Secret')!
    const secrets = Object.entries(stringData).map(([key, value]) => [
      key.replace('node.session.auth.', ''),
      value,
    ])
    const sessionChap = Object.fromEntries(secrets)
    // One portal: the others are the multipath tests' matter.
    expect([targetPortal, ...portals]).toEqual(PORTALS)
    return { name: 'printed', iqn, portals: [targetPortal], lun, initiatorName, sessionChap }
  }

  test('what it prints attaches, and before that nobody else had to be told anything', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'volume', 'create', 'printed', '96MiB')
    const volume = await printed()
    const device = await kubelet.attach(volume)
    await kubelet.formatAndMount(device, `${PODS}/printed`)
    await guest.succeed(`echo kept > ${PODS}/printed/file`)
    await kubelet.detach(volume, `${PODS}/printed`)
    expect(await printed()).toEqual(volume)
    await expectNothingLeft(volume)
  })
})

describe('block mode', () => {
  test('the raw disk is a loop device for the pod, and detaches', async () => {
    const { guest } = section
    const device = await kubelet.attach(volume('raw'))
    await guest.succeed(`set -e
      loop=$(losetup --show -f ${device})
      yes raw | dd of=$loop bs=1M count=8 iflag=fullblock oflag=direct conv=fsync
      losetup -d $loop
      dd if=${device} bs=1M count=8 iflag=direct | cmp -n ${8 * 1024 ** 2} - <(yes raw)`)
    await kubelet.detach(volume('raw'))
    await expectNothingLeft(volume('raw'))
  })
})

describe('two portals', () => {
  const many = () => volume('many', { portals: PORTALS })

  beforeAll(() => startMultipathd(section.guest))

  test('attached as one multipath device, mounted, and flushed away at the detach', async () => {
    const device = await kubelet.attach(many())
    expect(device).toMatch(/^\/dev\/dm-/)
    await kubelet.formatAndMount(device, `${PODS}/many`)
    await section.guest.succeed(`echo kept > ${PODS}/many/file && sync -f ${PODS}/many`)
    await kubelet.detach(many(), `${PODS}/many`)
    await expectNothingLeft(many())
    expect(await section.guest.succeed('ls /sys/block')).not.toMatch(/dm-/)
  })

  test('one portal dead: the volume attaches over the other and holds what was written', async () => {
    await setLink(1, 'down')
    try {
      const device = await kubelet.attach(many())
      await kubelet.formatAndMount(device, `${PODS}/many`)
      expect(await section.guest.succeed(`cat ${PODS}/many/file`)).toBe('kept')
      await section.guest.succeed(`umount ${PODS}/many`)
    } finally {
      await setLink(1, 'up')
    }
  })
})
