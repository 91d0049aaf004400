import { PassThrough, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { ExitCode } from './exit-codes.ts'
import { StandardOutput } from './standard-output.ts'

const failing = (code: string) =>
  new Writable({ write: (_piece, _encoding, done) => done(Object.assign(new Error(code), { code })) })

test('output: the command ends when a slow reader has taken all of it', async () => {
  const taken: string[] = []
  const slow = new Writable({
    write: (piece, _encoding, done) => {
      taken.push(String(piece))
      setTimeout(done, 10)
    },
  })
  const output = new StandardOutput(slow)
  for (const line of ['a', 'b', 'c']) slow.write(line)
  expect(await output.end(ExitCode.done, new PassThrough())).toBe(ExitCode.done)
  expect(taken.slice(0, 3)).toEqual(['a', 'b', 'c'])
})

test('output: what could not be written is a failure, unless its reader has gone', async () => {
  const stderr = new PassThrough()
  const full = failing('ENOSPC')
  const output = new StandardOutput(full)
  full.write('a table')
  expect(await output.end(ExitCode.done, stderr)).toBe(ExitCode.refused)
  expect(String(stderr.read())).toBe(
    'holdfast: standard output cannot be written: no space is left on the device\n',
  )
  const closed = failing('EPIPE')
  const early = new StandardOutput(closed)
  closed.write('a table')
  expect(await early.end(ExitCode.done, stderr)).toBe(ExitCode.done)
})
