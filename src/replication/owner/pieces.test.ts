import { expect, test } from 'vitest'
import { BlockKind } from '../../block/block-operation.ts'
import { pieceBytes } from './pieces.ts'

const MIB = 1024 * 1024
const RANGE = 4096 * MIB

test.each([
  { what: 'a short read is one', kind: BlockKind.read, at: 0, left: 4096, piece: 4096 },
  { what: 'a write ends with its range', kind: BlockKind.write, at: RANGE - 4096, left: 8192, piece: 4096 },
  { what: 'a long write is cut', kind: BlockKind.write, at: 0, left: 9 * MIB, piece: 4 * MIB },
  { what: 'a long trim is not', kind: BlockKind.trim, at: 0, left: 9 * MIB, piece: 9 * MIB },
  { what: 'a trim ends with its range', kind: BlockKind.trim, at: RANGE - MIB, left: 9 * MIB, piece: MIB },
  { what: 'an atomic write is one', kind: BlockKind.writeAtomic, at: RANGE - 4096, left: 8192, piece: 8192 },
])('piece: $what', ({ kind, at, left, piece }) => {
  expect(pieceBytes(kind, at, left, false)).toBe(piece)
})

test('piece: a read goes block by block once some of it failed', () => {
  expect(pieceBytes(BlockKind.read, 4096, MIB, true)).toBe(4096)
})
