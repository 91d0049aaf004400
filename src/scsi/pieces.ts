import type { BlockKind } from '../block/block-operation.ts'
import type { Task } from './task.ts'

/**
 * Runs one kind of operation over the task's whole range, `buffer` long pieces one after the other, each with
 * `buffer` as its data; ends the task with GOOD after the last. Between pieces the task can be aborted.
 */
export function runPieces(task: Task, kind: BlockKind, buffer: Buffer): void {
  task.scratch = buffer
  task.pieceKind = kind
  task.doneBytes = 0
  nextPiece(task)
}

function nextPiece(task: Task): void {
  const { scratch, doneBytes } = task
  const lengthBytes = Math.min(task.lengthBytes - doneBytes, scratch!.length)
  if (lengthBytes === 0) return task.good()
  task.doneBytes += lengthBytes
  task.submit(task.pieceKind, task.offsetBytes + doneBytes, lengthBytes, scratch, 0, nextPiece)
}

/** `block` over and over, at most `piecesMax` and no longer than `lengthBytes`; both are multiples of it. */
export function repeatBlock(block: Buffer, lengthBytes: number, piecesMax: number): Buffer {
  const repeated = Buffer.allocUnsafe(Math.min(lengthBytes, piecesMax))
  return repeated.fill(block)
}
