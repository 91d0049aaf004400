import { BlockKind, type BlockOperation } from '../../block/block-operation.ts'
import { RANGE_BYTES } from '../../control/layout.ts'
import { STORE_BLOCK_BYTES } from '../../volume/block-alignment.ts'

/** Longer reads and writes go in pieces, one after the other. */
export const PIECE_BYTES_MAX = 4 * 1024 * 1024

/**
 * Length of the piece of an operation that begins at `offsetBytes` when `leftBytes` are still to be done. A piece lies
 * in one range, whose in-sync set carries it out; but what is atomic is one piece.
 */
export function pieceBytes(
  kind: BlockKind,
  offsetBytes: number,
  leftBytes: number,
  blockwise: boolean,
): number {
  if (kind === BlockKind.writeAtomic) return leftBytes
  if (blockwise) return Math.min(leftBytes, STORE_BLOCK_BYTES)
  const inRangeBytes = Math.min(leftBytes, RANGE_BYTES - (offsetBytes % RANGE_BYTES))
  const carriesData = kind !== BlockKind.trim && kind !== BlockKind.zero
  return carriesData ? Math.min(inRangeBytes, PIECE_BYTES_MAX) : inRangeBytes
}

/** A write in several pieces, which others may have an end put to between two of them. */
export function isInPieces({ kind, offsetBytes, lengthBytes }: BlockOperation): boolean {
  return kind === BlockKind.write && pieceBytes(kind, offsetBytes, lengthBytes, false) < lengthBytes
}
