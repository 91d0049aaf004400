import { succeed } from './programs.ts'

/** Bytes that a directory takes on its file system, holes not counted. */
export async function diskUsageBytes(directory: string): Promise<number> {
  return Number((await succeed('du', ['-s', '-B1', directory])).split('\t')[0])
}
