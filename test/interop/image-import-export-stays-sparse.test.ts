import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Daemon } from '../lib/daemon.ts'
import { diskUsageBytes } from '../lib/disk-usage.ts'
import { holdfastDone } from '../lib/programs.ts'
import { compare } from '../lib/qemu-iscsi.ts'
import { temporaryDirectory } from '../lib/temporary-directory.ts'

const SIZE_MIB = 256
const MIB = 1024 ** 2
const SECTOR_BYTES = 512
/** Where the image has data: 1 MiB at each of these. */
const DATA_AT_MIB = [0, 17, 130, SIZE_MIB - 1]

const allocatedBytes = (file: string) => statSync(file).blocks * SECTOR_BYTES
const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')

function makeSparseImage(file: string): void {
  const fd = openSync(file, 'w')
  for (const [index, at] of DATA_AT_MIB.entries())
    writeSync(fd, Buffer.alloc(MIB, index + 1), 0, MIB, at * MIB)
  closeSync(fd)
  truncateSync(file, SIZE_MIB * MIB)
}

test('an image goes in and comes out with its holes, and takes no space for them inside', async () => {
  using directory = temporaryDirectory('sparse')
  await using daemon = await Daemon.start({ directory: directory.path, arguments: ['--no-demo'] })
  const image = join(directory.path, 'image')
  const exported = join(directory.path, 'exported')
  makeSparseImage(image)
  await holdfastDone(daemon, 'volume', 'create', 'disk', `${SIZE_MIB}MiB`)
  const before = await diskUsageBytes(join(directory.path, 'data'))

  await holdfastDone(daemon, 'volume', 'import', image, 'disk')
  const grown = (await diskUsageBytes(join(directory.path, 'data'))) - before
  expect(grown).toBeLessThan(32 * MIB)
  expect(await compare(daemon, 'disk', image)).toMatchObject({ code: 0 })

  await holdfastDone(daemon, 'volume', 'export', 'disk', exported)
  expect(digest(exported)).toBe(digest(image))
  expect(allocatedBytes(exported)).toBeLessThan(16 * MIB)
})
