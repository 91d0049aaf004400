import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { diskUsageBytes } from '../lib/disk-usage.ts'
import { holdfastDone, run, succeed } from '../lib/programs.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'

const MIB = 1024 ** 2
const WRITTEN_MIB = 64

test.each([
  ['discard (UNMAP)', `discard 0 ${WRITTEN_MIB}M`],
  ['write-zeroes that may unmap (WRITE SAME)', `write -z -u 0 ${WRITTEN_MIB}M`],
])('qemu-io %s: the space is free again and reads as zeroes', async (_name, command) => {
  using directory = temporaryDirectory('trim')
  await using daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  await holdfastDone(daemon, 'volume', 'create', 'disk', '256MiB')
  const qemu = (...commands: string[]) =>
    // Without discard=unmap qemu keeps discards to itself.
    run('qemu-io', ['-d', 'unmap', '-f', 'raw', ...commands.flatMap(c => ['-c', c]), daemon.url('disk')])
  const data = join(directory.path, 'data')
  const empty = await diskUsageBytes(data)

  await qemu(`write -P 0xa5 0 ${WRITTEN_MIB}M`, 'flush')
  const full = await diskUsageBytes(data)
  expect(full - empty).toBeGreaterThan((WRITTEN_MIB - 1) * MIB)

  await qemu(command, 'flush')
  expect((await diskUsageBytes(data)) - empty).toBeLessThan((WRITTEN_MIB / 4) * MIB)
  const check = await qemu(`read -P 0 0 ${WRITTEN_MIB}M`)
  expect(check.stdout).toContain(`read ${WRITTEN_MIB * MIB}/${WRITTEN_MIB * MIB} bytes`)
  expect(check.stdout).not.toMatch(/verification failed/)
  await succeed('iscsi-inq', [daemon.url('disk')])
})
