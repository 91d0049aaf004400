import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'

const NAME = 'cluster.json'
const FORMAT = 'holdfast cluster 1'

/** Which cluster a data directory belongs to, and as whom: written by `cluster join`. */
export interface ClusterFile {
  readonly clusterId: string
  readonly peer: string
}

export async function writeClusterFile(directory: string, file: ClusterFile): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, NAME)
  await writeFile(`${path}.new`, `${JSON.stringify({ format: FORMAT, ...file }, null, 2)}\n`, { flush: true })
  await rename(`${path}.new`, path)
}

/** Null when the directory has not joined one. Rejects with ERR_CONFIG_INVALID for another content. */
export async function readClusterFile(directory: string): Promise<ClusterFile | null> {
  const path = join(directory, NAME)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const content = parsed(text)
  if (
    content?.format !== FORMAT ||
    typeof content.clusterId !== 'string' ||
    typeof content.peer !== 'string'
  ) {
    throw new HoldfastError('ERR_CONFIG_INVALID', `${path} is not what holdfast cluster join writes`)
  }
  return { clusterId: content.clusterId, peer: content.peer }
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return null
  }
}
