import { expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { freePort } from '../lib/free-port.ts'
import { run } from '../lib/programs.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'

test('what one portal wrote, the other reads', async () => {
  using directory = temporaryDirectory('portals')
  const iscsi = [`127.0.0.1:${await freePort()}`, `[::1]:${await freePort('::1')}`]
  await using daemon = await Daemon.start({ directory: directory.path, iscsi })
  const qemu = (portal: number, command: string) =>
    run('qemu-io', ['-f', 'raw', '-c', command, daemon.url('demo', { portal })])
  for (const [pattern, from] of [0, 1, 0].entries()) {
    await qemu(from, `write -P ${pattern + 1} 0 1M`)
    const check = await qemu(1 - from, `read -P ${pattern + 1} 0 1M`)
    expect(check.stdout).toContain('read 1048576/1048576 bytes')
    expect(check.stdout).not.toMatch(/verification failed/)
  }
})
