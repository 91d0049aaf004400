import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { expectCleanFileSystem, makeFileSystemImage } from '../lib/file-system-image.ts'
import { holdfastDone } from '../lib/programs.ts'
import { compare, copyFrom, copyOnto, type QemuIscsiOptions } from '../lib/qemu-iscsi.ts'
import { writeSecret } from '../lib/secret-file.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../lib/temporary-directory.ts'

const IMAGE_MIB = 48
const CHAP = { user: 'host-a', secret: 'a secret of 24 characters' }

let images: TemporaryDirectory
let image: string

beforeAll(async () => {
  images = temporaryDirectory('image')
  image = await makeFileSystemImage(images.path, IMAGE_MIB)
})
afterAll(() => images[Symbol.dispose]())

/** qemu-img writes the image, the daemon dies, and another one is asked for it. */
async function expectToSurvive(
  options: QemuIscsiOptions,
  prepare: (daemon: Daemon, directory: string) => Promise<void>,
) {
  using directory = temporaryDirectory('crash')
  await using first = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  await holdfastDone(first, 'volume', 'create', 'disk', `${IMAGE_MIB}MiB`)
  await prepare(first, directory.path)
  await copyOnto(first, 'disk', image, options)
  await first.kill()

  await using second = await first.restart()
  const verdict = await compare(second, 'disk', image, options)
  expect(verdict, second.logTail()).toMatchObject({ code: 0, stdout: expect.stringContaining('identical') })
  const copy = join(directory.path, 'copy.img')
  await copyFrom(second, 'disk', copy, options)
  await expectCleanFileSystem(copy)
}

describe('a file system written by qemu-img survives kill -9', () => {
  test('over a plain connection', () => expectToSurvive({}, async () => {}))

  test('with CHAP and header digests', () =>
    expectToSurvive({ ...CHAP, headerDigest: 'crc32c' }, async (daemon, directory) => {
      const secretFile = writeSecret(directory, 'secret', CHAP.secret)
      await holdfastDone(
        daemon,
        'target',
        'chap',
        'set',
        'disk',
        '--user',
        CHAP.user,
        '--secret-file',
        secretFile,
      )
    }))
})
