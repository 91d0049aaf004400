import { expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { holdfastDone, run } from '../lib/programs.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'

const ALLOWED = 'iqn.2026-11.io.holdfast.test:allowed'
const STRANGER = 'iqn.2026-11.io.holdfast.test:stranger'

test('a target with an ACL serves the initiators in it and nobody else', async () => {
  using directory = temporaryDirectory('acl')
  await using daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  const inquire = (initiator: string) => run('iscsi-inq', ['-i', initiator, daemon.url('disk')])
  await holdfastDone(daemon, 'volume', 'create', 'disk', '32MiB')
  await holdfastDone(daemon, 'target', 'acl', 'add', 'disk', ALLOWED)
  expect((await inquire(ALLOWED)).code).toBe(0)
  const refused = await inquire(STRANGER)
  expect(refused.code).not.toBe(0)
})
