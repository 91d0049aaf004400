import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { run, succeed } from '../lib/programs.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'

test('SIGTERM under load ends the daemon with 0, and what was written is there afterwards', async () => {
  using directory = temporaryDirectory('sigterm')
  await using first = await Daemon.start({ directory: directory.path })
  await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 0x5a 1M 2M', '-c', 'flush', first.url('demo')])
  const reader = spawn('iscsi-perf', ['-m', '32', '-b', '8', '-t', '30', '-r', first.url('demo')])
  const readerClosed = once(reader, 'close')
  await once(reader.stdout, 'data')
  try {
    expect(await first.stop(), first.logTail()).toBe(0)
  } finally {
    reader.kill('SIGKILL')
    await readerClosed
  }

  await using second = await first.restart()
  const check = await run('qemu-io', ['-f', 'raw', '-c', 'read -P 0x5a 1M 2M', second.url('demo')])
  expect(check.stdout).toMatch(/read 2097152\/2097152 bytes/)
  expect(check.stdout).not.toMatch(/Pattern verification failed/)
})

test('a second daemon on the same directory is refused', async () => {
  using directory = temporaryDirectory('second')
  await using _first = await Daemon.start({ directory: directory.path })
  await expect(Daemon.start({ directory: directory.path })).rejects.toThrow(/ended with 1/)
})
