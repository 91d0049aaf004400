import { expect, test } from 'vitest'
import { REGION_BYTES, SEGMENT_BYTES } from '../../store/layout.ts'
import type { FenceAnswer } from '../messages.ts'
import { doubtfulSpans } from './doubts.ts'

const answer = (part: Partial<FenceAnswer>): FenceAnswer => ({
  state: 'warm',
  epoch: 1,
  setVersion: 1,
  continuous: true,
  operations: [],
  activeSegments: [],
  suspectSegments: [],
  log: { complete: true, operations: '', forgotten: [] },
  ...part,
})
const write = (offsetBytes: number, lengthBytes: number) => ({ kind: 1, offsetBytes, lengthBytes }) as const

test('doubts: nothing in flight leaves nothing in doubt', () => {
  expect(doubtfulSpans([answer({}), answer({})], 1e9)).toEqual([])
})

test('doubts: what several members report is in doubt once', () => {
  const answers = [answer({ operations: [write(8192, 4096)] }), answer({ operations: [write(4096, 8192)] })]
  expect(doubtfulSpans(answers, 1e9)).toEqual([{ startBytes: 0, endBytes: REGION_BYTES }])
})

test('doubts: a member that forgot its operations puts its active segments in doubt', () => {
  const answers = [answer({ operations: [write(0, 4096)] }), answer({ activeSegments: [0, 2] })]
  expect(doubtfulSpans(answers, 1e9)).toEqual([
    { startBytes: 0, endBytes: SEGMENT_BYTES },
    { startBytes: 2 * SEGMENT_BYTES, endBytes: 3 * SEGMENT_BYTES },
  ])
})

test('doubts: so does an atomic write of an earlier epoch that was not reconciled, or that a journal held', () => {
  const atomics = [{ offsetBytes: REGION_BYTES - 4096, lengthBytes: 8192 }]
  expect(doubtfulSpans([answer({ atomics })], 1e9)).toEqual([{ startBytes: 0, endBytes: 2 * REGION_BYTES }])
})

test('doubts: a long operation is cut at segments and at the end of the volume', () => {
  const answers = [answer({ operations: [write(SEGMENT_BYTES - 4096, 3 * SEGMENT_BYTES)] })]
  expect(doubtfulSpans(answers, 2 * SEGMENT_BYTES)).toEqual([
    { startBytes: SEGMENT_BYTES - REGION_BYTES, endBytes: SEGMENT_BYTES },
    { startBytes: SEGMENT_BYTES, endBytes: 2 * SEGMENT_BYTES },
  ])
})
