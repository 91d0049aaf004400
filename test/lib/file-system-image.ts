import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { succeed } from './programs.ts'

const RANDOM_FILES = 12
const RANDOM_FILE_BYTES = 700_001

/** An ext4 image of `sizeMib` MiB with our own sources and some megabytes of noise in it; returns its path. */
export async function makeFileSystemImage(directory: string, sizeMib: number): Promise<string> {
  const content = join(directory, 'content')
  mkdirSync(join(content, 'noise'), { recursive: true })
  cpSync(fileURLToPath(new URL('../../src', import.meta.url)), join(content, 'src'), { recursive: true })
  for (let i = 0; i < RANDOM_FILES; i++)
    writeFileSync(join(content, 'noise', String(i)), randomBytes(RANDOM_FILE_BYTES))
  const image = join(directory, 'file-system.img')
  await succeed('mkfs.ext4', ['-q', '-F', '-d', content, image, `${sizeMib}M`])
  return image
}

/** Throws unless e2fsck finds the file system in `image` clean; changes nothing. */
export async function expectCleanFileSystem(image: string): Promise<void> {
  await succeed('e2fsck', ['-f', '-n', image])
}
