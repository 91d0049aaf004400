import { BlockStatus } from '../../block/block-status.ts'
import { BLOCK_BYTES } from '../../store/layout.ts'
import type { MemberPort } from '../resync/resync-ports.ts'

/** What settling asks of the member that is going to be the source. */
export interface SettledPort extends MemberPort {
  repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus>
  order(order: { readonly what: 'standAlone'; readonly alone: boolean }): Promise<void>
}

/**
 * Before others are made like `source`: blocks of it that differ from their checksums are taken from one of `others`
 * that verifies. With none left a block in doubt stands, and its checksum is recomputed. PROTOCOL rule 11.
 */
export async function settleRegion(
  source: SettledPort,
  others: readonly MemberPort[],
  startBytes: number,
  endBytes: number,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(endBytes - startBytes)
  for (let at = startBytes; at < endBytes; ) {
    const { status, failedAtBytes } = await source.read(at, endBytes - at, buffer, 0)
    if (status === BlockStatus.ok) return
    if (!(await repairFrom(others, source, failedAtBytes, buffer))) await stand(source, failedAtBytes, buffer)
    at = failedAtBytes + BLOCK_BYTES
  }
}

async function repairFrom(
  others: readonly MemberPort[],
  source: SettledPort,
  at: number,
  buffer: Buffer,
): Promise<boolean> {
  for (const other of others) {
    if ((await other.read(at, BLOCK_BYTES, buffer, 0)).status !== BlockStatus.ok) continue
    return (await source.repair(at, BLOCK_BYTES, buffer, 0)) === BlockStatus.ok
  }
  return false
}

async function stand(source: SettledPort, at: number, buffer: Buffer): Promise<void> {
  await source.order({ what: 'standAlone', alone: true })
  try {
    await source.read(at, BLOCK_BYTES, buffer, 0)
  } finally {
    await source.order({ what: 'standAlone', alone: false })
  }
}
