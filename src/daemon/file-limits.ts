import { readFile, statfs } from 'node:fs/promises'

/** statfs(2): f_type of tmpfs. */
const TMPFS_MAGIC = 0x01021994

/** How many files this process may have open; null where /proc does not say, Infinity without a limit. */
export async function openFilesMax(): Promise<number | null> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]
  if (soft === undefined) return null
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

/** Whether what is there outlives a reboot, and how many bytes more this user may write there. */
export async function fileSystemOf(directory: string): Promise<{ onTmpfs: boolean; freeBytes: number }> {
  const { type, bavail, bsize } = await statfs(directory)
  return { onTmpfs: type === TMPFS_MAGIC, freeBytes: bavail * bsize }
}
