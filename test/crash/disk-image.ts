import { closeSync, ftruncateSync, mkdirSync, openSync, writevSync } from 'node:fs'
import { join } from 'node:path'
import type { CrashedDisk, CrashedFile } from './disk-model.ts'
import { PAGE_BYTES, type Survival } from './file-model.ts'
import { below, type Random } from './random.ts'

/** As many buffers as one writev(2) surely takes. */
const PAGES_PER_WRITE = 256

/** A kill: the page cache outlives the process. */
export const everythingSurvives: Survival = { survivors: count => count }

/** A power cut: of each page and each size any prefix of its changes; how many tends to differ by cut. */
export function chanceSurvives(random: Random): Survival {
  const keeps = [0, 0.1, 0.5, 0.9][below(random, 4)]!
  const drops = [0.1, 0.5, 0.9, 1][below(random, 4)]!
  return {
    survivors(count) {
      if (count === 0 || random() < keeps) return count
      return random() < drops ? 0 : below(random, count + 1)
    },
  }
}

/** Writes a crashed disk out below `directory`, which exists and is empty. */
export function writeImage(disk: CrashedDisk, directory: string): void {
  for (const path of disk.directories) mkdirSync(join(directory, path))
  for (const file of disk.files) writeFile(file, join(directory, file.path))
}

function writeFile(file: CrashedFile, path: string): void {
  const fd = openSync(path, 'w')
  try {
    const pages = [...file.pages].sort((a, b) => a[0] - b[0])
    for (let from = 0; from < pages.length; ) {
      let to = from + 1
      while (to < pages.length && to - from < PAGES_PER_WRITE && pages[to]![0] === pages[to - 1]![0] + 1) to++
      writevSync(
        fd,
        pages.slice(from, to).map(([, content]) => content),
        pages[from]![0] * PAGE_BYTES,
      )
      from = to
    }
    ftruncateSync(fd, file.sizeBytes)
  } finally {
    closeSync(fd)
  }
}
