import { ATOMIC_WRITE_BYTES_MAX } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { SEGMENT_BYTES } from '../../store/layout.ts'
import type { MemberPort } from '../resync/resync-ports.ts'
import type { SettledPort } from './settle-region.ts'

/** What giving a write as a whole asks of a member. */
export interface WholePort extends SettledPort {
  copyWhole(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus>
}

/**
 * Gives everybody of `set` what one of them holds in these bytes, in one piece as far as ATOMIC_WRITE_BYTES_MAX goes:
 * where an atomic write reached some members only, one that dies while the others are made like it leaves none with a
 * part of it. Without a member that is suspect in none of it nothing is given.
 */
export async function giveWhole(
  set: readonly WholePort[],
  isSuspect: (member: MemberPort, segment: number) => boolean,
  startBytes: number,
  endBytes: number,
): Promise<void> {
  const segments: number[] = []
  for (let segment = Math.floor(startBytes / SEGMENT_BYTES); segment * SEGMENT_BYTES < endBytes; segment++) {
    segments.push(segment)
  }
  const good = set.filter(member => segments.every(segment => !isSuspect(member, segment)))
  const data = Buffer.allocUnsafeSlow(endBytes - startBytes)
  let source: WholePort | null = null
  for (const member of good) {
    // Repairing its bad blocks from others would mix what only some have into it.
    if ((await member.read(startBytes, data.length, data, 0)).status !== BlockStatus.ok) continue
    source = member
    break
  }
  if (source === null) return
  for (const member of set) {
    if (member === source) continue
    for (let at = 0; at < data.length; at += ATOMIC_WRITE_BYTES_MAX) {
      await member.copyWhole(startBytes + at, Math.min(ATOMIC_WRITE_BYTES_MAX, data.length - at), data, at)
    }
  }
}
