import { expect, test } from 'vitest'
import { SlabOutput, SlabPool } from './slab-output.ts'

/** A socket's write side that keeps what it was given, and takes writes at once only while `takes`. */
class Outlet {
  takes = true
  readonly written: string[] = []

  write(bytes: Buffer, behind: Buffer | null): boolean {
    const texts = [bytes, behind].flatMap(each => each?.toString('latin1') ?? [])
    this.written.push(texts.join('|'))
    return this.takes
  }
}

function outputWith(outlet: Outlet): SlabOutput {
  return new SlabOutput(new SlabPool(64, 4), outlet)
}

/** Outputs of one pool that sends short messages early, from 16 bytes on. */
function earlyOutputs(): { readonly output: SlabOutput; readonly outlet: Outlet }[] {
  const pool = new SlabPool(16 * 1024, 4, 16)
  return Array.from({ length: 2 }, () => {
    const outlet = new Outlet()
    return { outlet, output: new SlabOutput(pool, outlet) }
  })
}

function put(output: SlabOutput, text: string): void {
  const at = output.reserve(text.length)
  output.commit(at + output.slab.write(text, at, 'latin1'))
}

test('output: what is gathered in a pass leaves in one write', () => {
  const outlet = new Outlet()
  const output = outputWith(outlet)
  put(output, 'one ')
  put(output, 'two')
  expect(outlet.written).toEqual([])
  output.flush()
  expect(outlet.written).toEqual(['one two'])
})

test('output: of an appended buffer the named part leaves, in one write with what was gathered before', () => {
  const outlet = new Outlet()
  const output = outputWith(outlet)
  const given: Buffer[] = []
  const buffer = Buffer.from('....payload....')
  put(output, 'header ')
  output.append(buffer, 7, { give: each => given.push(each) }, 4)
  expect(outlet.written).toEqual(['header |payload'])
  expect(given).toEqual([buffer])
})

test('output: a header and a payload that the socket keeps are given back together, when it has taken both', () => {
  const outlet = new Outlet()
  const pool = new SlabPool(64, 4)
  const output = new SlabOutput(pool, outlet)
  const given: Buffer[] = []
  const payload = Buffer.from('payload')
  outlet.takes = false
  put(output, 'header ')
  const { slab } = output
  output.append(payload, 7, { give: each => given.push(each) })
  put(output, 'next')
  expect(output.pendingBytes).toBe(18)
  expect(output.slab).not.toBe(slab)
  expect(given).toEqual([])
  outlet.takes = true
  output.taken()
  expect(outlet.written).toEqual(['header |payload', 'next'])
  expect(given).toEqual([payload])
  expect([pool.take(), pool.take()]).toContain(slab)
  expect(output.pendingBytes).toBe(0)
})

test('output: while the socket keeps one write, the parts of others wait in order and are given back when sent', () => {
  const outlet = new Outlet()
  const output = outputWith(outlet)
  const given: string[] = []
  const owner = { give: (each: Buffer) => given.push(each.toString('latin1')) }
  outlet.takes = false
  output.append(Buffer.from('-first'), 5, owner, 1)
  output.append(Buffer.from('--second--'), 6, owner, 2)
  put(output, 'third')
  output.flush()
  expect(outlet.written).toEqual(['first'])
  expect(output.pendingBytes).toBe(16)
  outlet.takes = true
  output.taken()
  expect(outlet.written).toEqual(['first', 'second', 'third'])
  expect(given).toEqual(['-first', '--second--'])
  expect(output.pendingBytes).toBe(0)
})

test('output: of a lone sender, what is enough leaves before its pass is over', () => {
  const [{ output, outlet }] = earlyOutputs() as [{ output: SlabOutput; outlet: Outlet }]
  put(output, 'the pass before')
  output.flush()
  put(output, '12 bytes and')
  put(output, ' 4 more')
  expect(outlet.written).toEqual(['the pass before', '12 bytes and 4 more'])
  put(output, 'the rest')
  output.flush()
  expect(outlet.written.at(-1)).toBe('the rest')
})

test('output: where another sent last, a pass leaves in one write', () => {
  const [one, other] = earlyOutputs() as [
    ReturnType<typeof earlyOutputs>[0],
    ReturnType<typeof earlyOutputs>[0],
  ]
  put(one.output, 'first')
  one.output.flush()
  put(other.output, 'second')
  other.output.flush()
  put(one.output, 'more than is sent early')
  expect(one.outlet.written).toEqual(['first'])
})

test('output: long messages wait for the end of their pass', () => {
  const [{ output, outlet }] = earlyOutputs() as [{ output: SlabOutput; outlet: Outlet }]
  put(output, 'first')
  output.flush()
  put(output, 'x'.repeat(10_000))
  expect(outlet.written).toEqual(['first'])
  output.flush()
  expect(outlet.written.length).toBe(2)
})
