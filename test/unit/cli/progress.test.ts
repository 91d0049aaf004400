import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { formatDetails, formatTable } from '../../../src/cli/output.ts'
import { Progress } from '../../../src/cli/progress.ts'

function shownOn(isTTY: boolean, steps: readonly (readonly [doneBytes: number, atMs: number])[]): string {
  let shown = ''
  const sink = new Writable({
    write(chunk, _encoding, done) {
      shown += String(chunk)
      done()
    },
  })
  const stderr = Object.assign(sink, { isTTY })
  const progress = new Progress(stderr, 'importing demo', 0)
  for (const [doneBytes, atMs] of steps) progress.show(doneBytes, 2 ** 20, atMs)
  progress.end()
  return shown
}

test('progress: a terminal gets one bar that is drawn again at most ten times a second and taken away', () => {
  const shown = shownOn(true, [
    [0, 50],
    [2 ** 19, 1000],
    [2 ** 19, 1050],
  ])
  expect(shown).toBe(
    '\r\x1b[Kimporting demo [###############...............]  50% 512KiB of 1MiB 512KiB/s\r\x1b[K',
  )
})

test('progress: elsewhere a line comes every ten seconds, and nothing of what is quick', () => {
  expect(shownOn(false, [[2 ** 20, 9_000]])).toBe('')
  const lines = shownOn(false, [
    [2 ** 18, 10_000],
    [2 ** 19, 15_000],
    [2 ** 19, 20_000],
  ])
  expect(lines.match(/^importing demo .*\n/gm)).toHaveLength(2)
})

test('tables: columns are as wide as their widest cell, numbers stand to the right', () => {
  const columns = [
    { title: 'NAME', value: (row: [string, number]) => row[0] },
    { title: 'N', align: 'right', value: (row: [string, number]) => row[1] },
  ] as const
  expect(
    formatTable(columns, [
      ['a', 1],
      ['longer', 100],
    ]),
  ).toBe('NAME      N\na         1\nlonger  100\n')
  expect(
    formatDetails([
      ['a', 'x'],
      ['list', ['y', 'z']],
      ['none', []],
    ]),
  ).toBe('a:    x\nlist: y\n      z\nnone: -\n')
})
