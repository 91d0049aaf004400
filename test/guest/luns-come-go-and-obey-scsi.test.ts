import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { holdfastDone } from '../lib/programs.ts'
import { attach, byPath, detach, diskOf } from './lib/attach.ts'
import { useSection } from './lib/section.ts'

const MIB = 1024 ** 2
const section = useSection('luns')
const [KEY, OTHER_KEY] = ['0xabc1', '0xabc2']

beforeAll(async () => {
  const { daemon } = section
  for (const name of ['zero', 'one', 'seven']) await holdfastDone(daemon, 'volume', 'create', name, '64MiB')
  await holdfastDone(daemon, 'target', 'lun', 'add', 'zero', '1', 'one')
})

describe('several LUNs of one target', () => {
  test('are several disks, each with its own identity and data', async () => {
    const { guest } = section
    const first = await attach(guest, 'zero')
    const second = await diskOf(guest, byPath('zero', { lun: 1 }))
    expect(second).not.toBe(first)
    const serials = await guest.succeed(
      `for d in ${first} ${second}; do /lib/udev/scsi_id --whitelisted --device=$d; done`,
    )
    expect(new Set(serials.split('\n')).size).toBe(2)
    await guest.succeed(`set -e
      yes first | dd of=${first} bs=64k count=16 iflag=fullblock oflag=direct
      yes second | dd of=${second} bs=64k count=16 iflag=fullblock oflag=direct
      dd if=${first} bs=64k count=16 iflag=direct | cmp -n ${MIB} - <(yes first)
      dd if=${second} bs=64k count=16 iflag=direct | cmp -n ${MIB} - <(yes second)`)
  })

  test('a LUN added while logged in is a disk after a rescan, and the unit attention reaches the kernel', async () => {
    const { guest, daemon } = section
    await holdfastDone(daemon, 'target', 'lun', 'add', 'zero', '7', 'seven')
    await guest.succeed('iscsiadm -m session --rescan')
    const disk = await diskOf(guest, byPath('zero', { lun: 7 }))
    expect(await guest.succeed(`sg_luns ${disk}`)).toMatch(/0007000000000000/)
    expect(await guest.succeed('dmesg')).toMatch(/LUN assignments on this target have changed/)
  })

  test('a LUN removed while logged in is gone from REPORT LUNS, and the others go on', async () => {
    const { guest, daemon } = section
    const [kept, gone] = [
      await diskOf(guest, byPath('zero')),
      await diskOf(guest, byPath('zero', { lun: 7 })),
    ]
    await holdfastDone(daemon, 'target', 'lun', 'remove', 'zero', '7', '--force')
    expect(await guest.succeed(`sg_luns ${kept}`)).not.toMatch(/0007000000000000/)
    expect((await guest.run(`dd if=${gone} of=/dev/null bs=4k count=1 iflag=direct`)).code).not.toBe(0)
    await guest.succeed(`dd if=${kept} of=/dev/null bs=4k count=1 iflag=direct`)
    await guest.succeed(`echo 1 > /sys/block/${gone.slice(5)}/device/delete`)
    await guest.eventually(`! test -e ${byPath('zero', { lun: 7 })}`)
  })

  // The tests below look for disks other than their own.
  afterAll(() => detach(section.guest, 'zero'))
})

describe('commands that a file system never sends', () => {
  let disk: string
  beforeAll(async () => {
    disk = await attach(section.guest, 'one')
  })

  test('COMPARE AND WRITE: writes on a match, and miscompares otherwise', async () => {
    const { guest } = section
    await guest.succeed(`set -e
      sg_dd if=/dev/zero of=${disk} bs=512 count=8
      (head -c 512 /dev/zero; yes new | head -c 512) > /root/caw
      sg_compare_and_write --in=/root/caw --lba=3 --num=1 ${disk}
      dd if=${disk} bs=512 skip=3 count=1 iflag=direct | cmp -n 512 - <(yes new)`)
    const again = await guest.run(`sg_compare_and_write --in=/root/caw --lba=3 --num=1 ${disk}`)
    // Of sg_compare_and_write(8): 14 is a miscompare.
    expect(again.code).toBe(14)
  })

  test('WRITE SAME: the block is repeated, and with UNMAP reads as zeroes', async () => {
    const { guest } = section
    await guest.succeed(`set -e
      yes repeated | head -c 512 > /root/block
      sg_write_same --16 --in=/root/block --lba=64 --num=256 ${disk}
      for i in 0 100 255; do
        dd if=${disk} bs=512 skip=$((64 + i)) count=1 iflag=direct | cmp -n 512 - /root/block
      done
      sg_write_same --16 --unmap --in=/dev/zero --xferlen=512 --lba=64 --num=256 ${disk}
      dd if=${disk} bs=512 skip=64 count=256 iflag=direct | cmp -n ${256 * 512} - /dev/zero`)
  })

  test('sg_persist: a registration reserves, shows and releases', async () => {
    const { guest } = section
    await guest.succeed(`sg_persist --out --register --param-sark=${KEY} ${disk}`)
    await guest.succeed(`sg_persist --out --reserve --param-rk=${KEY} --prout-type=5 ${disk}`)
    expect(await guest.succeed(`sg_persist --in --read-keys ${disk}`)).toContain(KEY)
    expect(await guest.succeed(`sg_persist --in --read-reservation ${disk}`)).toMatch(
      /Write Exclusive, registrants only/i,
    )
    expect(await guest.succeed(`sg_persist --in --report-capabilities ${disk}`)).toMatch(/PTPL_C\): 1/)
  })

  test('sg_persist: another initiator reads but does not write, until it preempts', async () => {
    const { guest } = section
    await guest.succeed(`set -e
      iscsiadm -m iface -I other -o new
      iscsiadm -m iface -I other -o update -n iface.initiatorname -v iqn.2026-11.io.holdfast.test:other
      iscsiadm -m node -T iqn.2026-11.io.holdfast:one -p 10.77.0.1:3260 -I other -o new
      iscsiadm -m node -T iqn.2026-11.io.holdfast:one -p 10.77.0.1:3260 -I other --login`)
    const other = await guest.eventually(
      `for d in /sys/block/sd*; do d=/dev/\${d##*/}; test $d != ${disk} && echo $d; done | grep .`,
    )
    await guest.succeed(`sg_dd if=${other} of=/dev/null bs=512 count=1 blk_sgio=1`)
    // sg3-utils(8): 24 is a reservation conflict.
    const write = `sg_dd if=/dev/zero of=${other} bs=512 count=1 blk_sgio=1`
    expect((await guest.run(write)).code).not.toBe(0)
    await guest.succeed(`set -e
      sg_persist --out --register --param-sark=${OTHER_KEY} ${other}
      sg_persist --out --preempt --param-rk=${OTHER_KEY} --param-sark=${KEY} --prout-type=5 ${other}
      ${write}`)
    expect(await guest.succeed(`sg_persist --in --read-keys ${other}`)).not.toContain(KEY)
    await guest.succeed(`sg_persist --out --clear --param-rk=${OTHER_KEY} ${other}`)
    await guest.succeed('iscsiadm -m node -T iqn.2026-11.io.holdfast:one -p 10.77.0.1:3260 -I other --logout')
  })

  test('sg_persist: with APTPL registrations outlive the daemon, without it they do not', async () => {
    const { guest } = section
    const restart = async () => {
      await section.daemon.kill()
      section.daemon = await section.daemon.restart()
      await guest.eventually(`sg_turs ${disk}`)
    }
    // That the other has preempted and cleared comes first, as unit attentions.
    await guest.eventually(`sg_turs ${disk}`)
    await guest.succeed(`sg_persist --out --register-ignore --param-sark=${KEY} ${disk}`)
    await restart()
    expect(await guest.succeed(`sg_persist --in --read-keys ${disk}`)).not.toContain(KEY)
    await guest.succeed(`set -e
      sg_persist --out --register --param-aptpl --param-sark=${KEY} ${disk}
      sg_persist --out --reserve --param-rk=${KEY} --prout-type=1 ${disk}`)
    await restart()
    expect(await guest.succeed(`sg_persist --in --read-keys ${disk}`)).toContain(KEY)
    expect(await guest.succeed(`sg_persist --in --read-reservation ${disk}`)).toMatch(/Write Exclusive/)
    await guest.succeed(`sg_persist --out --clear --param-rk=${KEY} ${disk}`)
  })
})
