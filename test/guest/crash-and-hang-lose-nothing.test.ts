import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { holdfastDone } from '../lib/programs.ts'
import { attach, detach } from './lib/attach.ts'
import { fioVerified } from './lib/fio.ts'
import { useSection } from './lib/section.ts'

const HANG_MS = 12_000
const section = useSection('crash')
let disk: string

beforeAll(async () => {
  await holdfastDone(section.daemon, 'volume', 'create', 'loaded', '128MiB')
  disk = await attach(section.guest, 'loaded')
})

test('fio with verification on the raw disk, all block sizes', async () => {
  await section.guest.succeed(
    `fio --name=raw --filename=${disk} --rw=randrw --bsrange=512-256k --size=64m --direct=1 --ioengine=libaio ` +
      '--iodepth=32 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --fsync=64',
    { timeoutS: 150 },
  )
})

test('the daemon is killed and started again under load: no error, nothing lost', async () => {
  const { guest } = section
  const load = fioVerified(guest, disk, { seconds: 20 })
  await sleep(6000)
  await section.daemon.kill()
  await sleep(1000)
  section.daemon = await section.daemon.restart()
  await load
  expect(await guest.succeed('cat /sys/class/iscsi_session/*/state')).toBe('LOGGED_IN')
})

test('the daemon is killed three times in a row under load: no error, nothing lost', async () => {
  const load = fioVerified(section.guest, disk, { seconds: 30 })
  for (let round = 0; round < 3; round++) {
    await sleep(7000)
    await section.daemon.kill()
    section.daemon = await section.daemon.restart()
  }
  await load
})

test('the daemon hangs for 12 s under load: no error, nothing lost', async () => {
  const load = fioVerified(section.guest, disk, { seconds: 30 })
  await sleep(6000)
  process.kill(section.daemon.pid, 'SIGSTOP')
  await sleep(HANG_MS)
  process.kill(section.daemon.pid, 'SIGCONT')
  await load
})

test('what was written with fsync before a kill is there after it, through a new login', async () => {
  const { guest } = section
  await guest.succeed(`yes durable | dd of=${disk} bs=1M count=32 iflag=fullblock oflag=direct conv=fsync`)
  await section.daemon.kill()
  section.daemon = await section.daemon.restart()
  await guest.succeed(`dd if=${disk} bs=1M count=32 iflag=direct | cmp -n ${32 * 1024 ** 2} - <(yes durable)`)
  await detach(guest, 'loaded')
  disk = await attach(guest, 'loaded')
  await guest.succeed(`dd if=${disk} bs=1M count=32 iflag=direct | cmp -n ${32 * 1024 ** 2} - <(yes durable)`)
})

test('no I/O error reached the kernel log', async () => {
  expect(await section.guest.run('dmesg | grep -iE "I/O error|Buffer I/O|offline"')).toMatchObject({
    output: '',
  })
})
