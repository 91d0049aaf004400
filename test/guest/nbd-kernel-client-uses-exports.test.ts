import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { diskUsageBytes } from '../lib/disk-usage.ts'
import { holdfastDone, holdfastJson } from '../lib/programs.ts'
import { attach, detach } from './lib/attach.ts'
import { makeCertificates, SERVER_NAME } from './lib/certificates.ts'
import { fioVerified } from './lib/fio.ts'
import { LINKS } from './lib/guest.ts'
import { connectNbdDisk, NBD_DISK as DISK, disconnectNbdDisk, nbdClient } from './lib/nbd-disk.ts'
import { PORTALS, useSection } from './lib/section.ts'

const MIB = 1024 ** 2
const HOST = LINKS[0].address
const NBD = `${HOST}:10809`
const PLAIN = ['--no-demo', '--nbd-allow-plain']
const CLIENT = 'host-a'
const section = useSection('nbd', { nbd: NBD, arguments: PLAIN })

const connect = (name: string, more = '') => connectNbdDisk(section.guest, HOST, name, more)
const disconnect = () => disconnectNbdDisk(section.guest)
const nbdSessions = async (): Promise<readonly { readonly protocol: string }[]> => {
  const all = (await holdfastJson(section.daemon, 'session', 'list')) as { protocol: string }[]
  return all.filter(({ protocol }) => protocol === 'nbd')
}

beforeAll(async () => {
  await holdfastDone(section.daemon, 'volume', 'create', 'disk', '128MiB')
})

// What failed with it mounted must not stand in the way of the next.
afterEach(() => section.guest.run('umount /mnt/nbd /mnt/iscsi'))

describe('plain', () => {
  test('the list names the export', async () => {
    expect(await section.guest.succeed(`nbd-client -l ${HOST} 10809`)).toMatch(/^disk\b/m)
  })

  test('four connections make one disk of the right size', async () => {
    const { guest } = section
    await connect('disk')
    expect(await guest.succeed(`blockdev --getsize64 ${DISK}`)).toBe(String(128 * MIB))
    await expect.poll(nbdSessions).toHaveLength(4)
  })

  test('fio verifies what it wrote, over all four', async () => {
    await fioVerified(section.guest, DISK, { seconds: 10 })
  })

  test('a write with fsync outlives a kill of the daemon', async () => {
    const { guest } = section
    await guest.succeed(
      `head -c ${16 * MIB} /dev/urandom > /tmp/durable && dd if=/tmp/durable of=${DISK} bs=1M conv=fsync`,
    )
    await section.daemon.kill()
    section.daemon = await section.daemon.restart()
    // The kernel's client does not come back by itself.
    await guest.run(`nbd-client -d ${DISK}`)
    await connect('disk')
    const read = await guest.succeed(
      `dd if=${DISK} bs=1M count=16 iflag=direct 2> /dev/null | cmp - /tmp/durable; echo $?`,
    )
    expect(read).toBe('0')
  })

  test('ext4 made, written with fsync, unmounted, checked, and the same after a new connection', async () => {
    const { guest } = section
    await guest.succeed(
      `set -e
      mkfs.ext4 -q -F ${DISK}
      mkdir -p /mnt/nbd
      mount ${DISK} /mnt/nbd
      dd if=/dev/urandom of=/mnt/nbd/data bs=1M count=32 conv=fsync
      sha256sum /mnt/nbd/data > /root/nbd.sums
      umount /mnt/nbd
      e2fsck -f -n ${DISK}`,
      { timeoutS: 120 },
    )
    await disconnect()
    await connect('disk')
    await guest.succeed(`mount ${DISK} /mnt/nbd && sha256sum --quiet -c /root/nbd.sums && umount /mnt/nbd`)
  })

  test('what NBD wrote, iSCSI reads', async () => {
    const { guest } = section
    const disk = await attach(guest, 'disk', { portal: PORTALS[1] })
    await guest.succeed(`mkdir -p /mnt/iscsi && mount -o ro ${disk} /mnt/iscsi && sed s:/mnt/nbd:/mnt/iscsi: \
      /root/nbd.sums | sha256sum --quiet -c && umount /mnt/iscsi`)
    await detach(guest, 'disk', PORTALS[1])
  })

  test('blkdiscard gives the space back in the store, and the disk reads as zeroes', async () => {
    const { guest, directory } = section
    const full = await diskUsageBytes(join(directory, 'data'))
    await guest.succeed(`blkdiscard ${DISK}`)
    expect(full - (await diskUsageBytes(join(directory, 'data')))).toBeGreaterThan(24 * MIB)
    await guest.succeed(`cmp -n ${128 * MIB} ${DISK} /dev/zero`)
  })

  test('disconnected: the daemon has no session of it left', async () => {
    await disconnect()
    await expect.poll(nbdSessions).toEqual([])
  })

  test('a read-only volume is a read-only disk', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'volume', 'set', 'disk', '--read-only', 'on')
    await connect('disk')
    expect(await guest.succeed(`blockdev --getro ${DISK}`)).toBe('1')
    await disconnect()
    await holdfastDone(daemon, 'volume', 'set', 'disk', '--read-only', 'off')
  })

  test('an export that does not exist is refused', async () => {
    expect((await section.guest.run(nbdClient(HOST, 'nothing'))).code).not.toBe(0)
  })
})

describe('TLS', () => {
  const credentials = `-certfile /root/${CLIENT}-cert.pem -keyfile /root/${CLIENT}-key.pem \
    -cacertfile /root/ca.pem -tlshostname ${SERVER_NAME}`

  beforeAll(async () => {
    const { guest, directory } = section
    const tls = join(directory, 'tls')
    mkdirSync(tls)
    await makeCertificates(tls, [SERVER_NAME, CLIENT])
    for (const kind of ['cert', 'key'])
      copyFileSync(join(tls, `${SERVER_NAME}-${kind}.pem`), join(tls, `${kind}.pem`))
    for (const file of ['ca.pem', `${CLIENT}-cert.pem`, `${CLIENT}-key.pem`])
      await guest.succeed(`cat > /root/${file} << 'END'\n${readFileSync(join(tls, file), 'utf8')}END`)
    await guest.run(`nbd-client -d ${DISK}`)
    await section.daemon.stop()
    const demanded = ['--no-demo', '--nbd-tls', 'required', '--tls-dir', tls]
    section.daemon = await section.daemon.restart({ arguments: demanded })
  })

  test('four connections under TLS make a disk, and fio verifies what it wrote', async () => {
    await connect('disk', credentials)
    await fioVerified(section.guest, DISK, { seconds: 10 })
    await expect.poll(nbdSessions).toHaveLength(4)
  })

  test('a file system under TLS', async () => {
    const { guest } = section
    await guest.succeed(
      `set -e
      mkfs.ext4 -q -F ${DISK}
      mount ${DISK} /mnt/nbd
      dd if=/dev/urandom of=/mnt/nbd/data bs=1M count=16 conv=fsync
      sha256sum /mnt/nbd/data > /root/nbd.sums
      umount /mnt/nbd
      e2fsck -f -n ${DISK}`,
      { timeoutS: 120 },
    )
    await disconnect()
    await connect('disk', credentials)
    await guest.succeed(`mount ${DISK} /mnt/nbd && sha256sum --quiet -c /root/nbd.sums && umount /mnt/nbd`)
    await disconnect()
  })

  test('without TLS nothing is served', async () => {
    expect((await section.guest.run(nbdClient(HOST, 'disk'), { timeoutS: 60 })).code).not.toBe(0)
  })
})
