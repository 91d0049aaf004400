import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { holdfast, holdfastDone, holdfastJson, succeed } from '../lib/programs.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

let directory: TemporaryDirectory
let daemon: Daemon

beforeAll(async () => {
  directory = temporaryDirectory('in-use')
  daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  await holdfastDone(daemon, 'volume', 'create', 'disk', '64MiB')
})
afterAll(async () => {
  await daemon[Symbol.asyncDispose]()
  directory[Symbol.dispose]()
})

/** qemu-io keeps a session open until its input ends. */
async function openSession(): Promise<AsyncDisposable> {
  const child = spawn('qemu-io', ['-f', 'raw', daemon.url('disk')], { stdio: ['pipe', 'pipe', 'ignore'] })
  const closed = once(child, 'close')
  child.stdin.write('read 0 4096\n')
  const [answer] = await Promise.race([once(child.stdout, 'data'), closed.then(() => ['qemu-io ended'])])
  if (!String(answer).includes('qemu-io>')) throw new Error(`no session: ${answer}`)
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await closed
    },
  }
}

test('a volume with a session on it is not deleted without --force', async () => {
  await using _session = await openSession()
  await expect
    .poll(async () => await holdfastJson(daemon, 'session', 'list'), { timeout: 10_000 })
    .toHaveLength(1)
  const refused = await holdfast(daemon, 'volume', 'delete', 'disk')
  expect(refused.code).toBe(1)
  expect(refused.stderr.trim().split('\n')).toHaveLength(1)
  expect(refused.stderr).toMatch(/disk/)
  await succeed('iscsi-inq', [daemon.url('disk')])
})

test('a resize shows to initiators, and a smaller size is refused', async () => {
  await holdfastDone(daemon, 'volume', 'resize', 'disk', '96MiB')
  expect(await succeed('iscsi-readcapacity16', [daemon.url('disk')])).toContain(
    `Total size:${96 * 1024 ** 2}`,
  )
  expect((await holdfast(daemon, 'volume', 'resize', 'disk', '32MiB')).code).toBe(1)
})

test('--force ends the sessions and deletes the volume', async () => {
  await using _session = await openSession()
  await holdfastDone(daemon, 'volume', 'delete', 'disk', '--force')
  const gone = await holdfast(daemon, 'volume', 'show', 'disk')
  expect(gone.code).toBe(1)
})
