import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Tables } from './apply.ts'
import { metaKey } from './tables.ts'

/** Followed by a space and the version in decimal. */
const MAGIC = 'holdfast-metadata'
const VERSION = 1
const ANY_KEY = { start: Buffer.of(0), end: Buffer.of(0xff), limit: 1 }

/** Writes magic and version into an empty database; refuses another's, and a version that is newer than ours. */
export async function checkFormat(
  tables: Tables,
  commit: (change: () => void) => Promise<void>,
  directory: string,
): Promise<void> {
  const found = tables.get(metaKey('format'))?.toString()
  if (found === `${MAGIC} ${VERSION}`) return
  if (found === undefined && [...tables.getKeys(ANY_KEY)].length === 0) {
    await commit(() => {
      tables.put(metaKey('format'), Buffer.from(`${MAGIC} ${VERSION}`))
    })
    return
  }
  const [magic, version] = found?.split(' ') ?? []
  throw new HoldfastError(
    'ERR_METADATA_FORMAT',
    magic === MAGIC
      ? `${directory} has metadata format ${version}, this version knows ${VERSION}: use a newer holdfast`
      : `${directory} holds an LMDB database that is not Holdfast's`,
  )
}
