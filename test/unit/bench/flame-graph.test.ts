import { expect, test } from 'vitest'
import { type CpuProfile, flameGraph, hottest, mergeFrames } from '../../../bench/flame-graph.ts'

const frame = (functionName: string) => ({ functionName, url: '/x/src/store/slot-io.js', lineNumber: 9 })
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: { functionName: '(root)', url: '', lineNumber: -1 }, children: [2, 4] },
    { id: 2, callFrame: frame('received'), children: [3] },
    { id: 3, callFrame: frame('write') },
    { id: 4, callFrame: { functionName: '(idle)', url: '', lineNumber: -1 } },
  ],
  samples: [2, 3, 3, 4],
  timeDeltas: [100, 200, 100, 5000],
}

test('flame graph: time adds up from callee to caller, and idle time is left out', () => {
  const root = mergeFrames(PROFILE)
  expect(root.totalUs).toBe(400)
  expect([...root.children.values()][0]).toMatchObject({ totalUs: 400, selfUs: 100 })
})

test('flame graph: the hottest function comes first', () => {
  expect(hottest(mergeFrames(PROFILE), 1)).toEqual([{ name: 'write store/slot-io.js:10', share: 0.75 }])
})

test('flame graph: names are escaped in the drawing', () => {
  const odd = { ...PROFILE, nodes: PROFILE.nodes.map(n => ({ ...n, callFrame: { ...n.callFrame } })) }
  odd.nodes[1]!.callFrame.functionName = '<anonymous>'
  expect(flameGraph(mergeFrames(odd), 'a & b')).toMatch(/a &amp; b[\s\S]*&lt;anonymous>/)
})
