import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { diskUsageBytes } from '../lib/disk-usage.ts'
import { holdfastDone } from '../lib/programs.ts'
import { attach, detach } from './lib/attach.ts'
import { fioVerified } from './lib/fio.ts'
import { useSection } from './lib/section.ts'

const MIB = 1024 ** 2
const section = useSection('file-systems')
const KINDS = [
  { kind: 'ext4', make: 'mkfs.ext4 -q -F', check: 'e2fsck -f -n', grow: 'resize2fs' },
  { kind: 'xfs', make: 'mkfs.xfs -q -f', check: 'xfs_repair -n', grow: 'xfs_growfs' },
]

beforeAll(async () => {
  for (const { kind } of KINDS) await holdfastDone(section.daemon, 'volume', 'create', kind, '320MiB')
})

describe.each(KINDS)('$kind', ({ kind, make, check, grow }) => {
  const at = `/mnt/${kind}`
  let disk: string

  test('made and mounted', async () => {
    disk = await attach(section.guest, kind)
    await section.guest.succeed(`set -e\n${make} ${disk}\nmkdir -p ${at}\nmount ${disk} ${at}`, {
      timeoutS: 120,
    })
  })

  test('written with fsync, and the same after a new login', async () => {
    const { guest } = section
    await guest.succeed(`set -e
      dd if=/dev/urandom of=${at}/data bs=1M count=32 conv=fsync
      for i in $(seq 50); do echo $i > ${at}/small.$i; done
      sync -f ${at}
      (cd ${at} && sha256sum data small.*) > /root/${kind}.sums
      umount ${at}`)
    await detach(guest, kind)
    disk = await attach(guest, kind)
    await guest.succeed(`mount ${disk} ${at} && cd ${at} && sha256sum --quiet -c /root/${kind}.sums`)
  })

  test('grown online while it is written', async () => {
    const { guest, daemon } = section
    const target = kind === 'xfs' ? at : disk
    const writing = fioVerified(guest, `${at}/grow`, { seconds: 12 })
    await holdfastDone(daemon, 'volume', 'resize', kind, '448MiB')
    await guest.succeed(`set -e
      iscsiadm -m node -R
      test $(blockdev --getsize64 ${disk}) = ${448 * MIB}
      ${grow} ${target}`)
    await writing
    const size = Number(await guest.succeed(`df -B1 --output=size ${at} | tail -1`))
    expect(size).toBeGreaterThan(360 * MIB)
  })

  test('fstrim gives the space of deleted files back in the store', async () => {
    const { guest, directory } = section
    const store = join(directory, 'data')
    await guest.succeed(`dd if=/dev/urandom of=${at}/large bs=1M count=96 conv=fsync`, { timeoutS: 120 })
    const full = await diskUsageBytes(store)
    await guest.succeed(`rm ${at}/large && sync -f ${at} && fstrim -v ${at}`)
    expect(full - (await diskUsageBytes(store))).toBeGreaterThan(64 * MIB)
  })

  test('unmounted and checked without a finding', async () => {
    await section.guest.succeed(`(cd ${at} && sha256sum --quiet -c /root/${kind}.sums) && umount ${at}`)
    await section.guest.succeed(`${check} ${disk}`, { timeoutS: 120 })
    await detach(section.guest, kind)
  })

  test('a read-only LUN that holds it is mounted read-only, and cannot be written', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'volume', 'set', kind, '--read-only', 'on')
    disk = await attach(guest, kind)
    expect(await guest.succeed(`blockdev --getro ${disk}`)).toBe('1')
    await guest.succeed(`mount -o ro ${disk} ${at} && cd ${at} && sha256sum --quiet -c /root/${kind}.sums`)
    expect((await guest.run(`mount -o remount,rw ${at}`)).code).not.toBe(0)
    // The kernel refuses on its own; past it, through sg, the target does.
    const written = await guest.run(
      `sg_raw -s 512 -i /dev/zero /dev/$(ls /sys/block/${disk.slice(5)}/device/scsi_generic) 2a 0 0 0 0 0 0 0 1 0`,
    )
    expect(written.output).toMatch(/Write protected/i)
    expect(written.code).not.toBe(0)
    await guest.succeed(`umount ${at}`)
    await detach(guest, kind)
  })
})

test('blkdiscard gives all space back in the store, and the disk reads as zeroes', async () => {
  const { guest, daemon, directory } = section
  const store = join(directory, 'data')
  await holdfastDone(daemon, 'volume', 'create', 'discarded', '128MiB')
  const empty = await diskUsageBytes(store)
  const disk = await attach(guest, 'discarded')
  await guest.succeed(`dd if=/dev/urandom of=${disk} bs=1M count=128 oflag=direct`, { timeoutS: 120 })
  expect((await diskUsageBytes(store)) - empty).toBeGreaterThan(120 * MIB)
  await guest.succeed(`blkdiscard ${disk}`)
  expect((await diskUsageBytes(store)) - empty).toBeLessThan(32 * MIB)
  await guest.succeed(`cmp -n ${128 * MIB} ${disk} /dev/zero`)
  await detach(guest, 'discarded')
})
