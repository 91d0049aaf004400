import { expect, test } from 'vitest'
import { BlockKind, BlockOperation } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { RANGE_BYTES } from '../../../src/control/layout.ts'
import { type LocalBrick, Member } from '../../../src/replication/owner/member.ts'
import { ReplicatedExtents, WAIT_MS_MAX } from '../../../src/replication/owner/replicated-extents.ts'
import { classifyRanges } from '../../../src/replication/owner/set-class.ts'
import {
  type PeerLink,
  type PeerRequest,
  PeerRequestKind,
  type PeerStatus,
} from '../../../src/replication/peer-network.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

class FakeLink implements PeerLink {
  readonly peerNumber: number
  readonly isUp = true
  readonly connection = 1
  identity: PeerLink['identity'] = null
  readonly sent: PeerRequest[] = []

  constructor(peerNumber: number) {
    this.peerNumber = peerNumber
  }

  send(request: PeerRequest): void {
    this.sent.push(request)
  }

  reset(): void {}

  onChange(): () => void {
    return () => {}
  }

  answer(status: PeerStatus): void {
    const request = this.sent.shift()!
    request.status = status
    request.completion.replied(request)
  }
}

/** Two ranges with the members 1 and 2, and 3, which is joining behind a gate that wants everything. */
function aVolume(own: Member | null = null) {
  const failed: number[] = []
  const cleared: number[] = []
  const active = new Map<number, readonly number[]>()
  const links = [1, 2, 3].map(peer => new FakeLink(peer))
  const [one, two, joiner] = links.map(link => {
    const member = new Member(link.peerNumber, `b${link.peerNumber}`, link, null)
    member.fenced = true
    return member
  }) as [Member, Member, Member]
  const timers = new ManualTimers()
  const extents = new ReplicatedExtents({
    volumeUuid: 'v',
    epoch: 2,
    timers,
    own,
    clock: () => timers.bootMs(),
    runner: {
      setVersion: 1,
      memberFailed: member => failed.push(member.peerNumber),
      repair: () => {},
      superseded: () => {},
      clear: async segments => void cleared.push(...segments),
      segmentsOf: async ({ peerNumber }) => ({ active: active.get(peerNumber) ?? [], suspect: [] }),
    },
  })
  const install = (members: Member[], left: Member[], ofLastRange = members) =>
    extents.setClasses(
      classifyRanges([members, ofLastRange], null, 2, () => true),
      [...new Set([...members, ...ofLastRange])],
      left,
    )
  install([one, two], [])
  const refusals: string[] = []
  const refused = (reason: string) => void refusals.push(reason)
  const gate = { peerNumber: 3, wantsFlush: true, wantsWrite: () => true, failed: refused }
  extents.setGates([{ member: joiner, gate }])
  const submit = (kind: BlockKind, offsetBytes = 0, lengthBytes = kind === BlockKind.flush ? 0 : 4096) => {
    const ended: BlockStatus[] = []
    const operation = new BlockOperation({ blockDone: ({ status }) => ended.push(status) })
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.data = Buffer.alloc(lengthBytes)
    extents.submit(operation)
    return ended
  }
  return { active, cleared, links, one, two, joiner, extents, install, submit, refusals, failed, timers }
}

test('flush: one that fails at a joiner ends the joining, and is acknowledged without it', () => {
  const { links, submit, refusals, failed } = aVolume()
  const ended = submit(BlockKind.flush)
  for (const link of links) link.answer(link.peerNumber === 3 ? BlockStatus.ioError : BlockStatus.ok)
  expect([refusals.length, failed, ended]).toEqual([1, [], [BlockStatus.ok]])
})

test.each([
  ['flush', BlockKind.flush],
  ['trim', BlockKind.trim],
] as const)(
  '%s: one that fails at who joined while it was on its way waits until that member has left',
  (_name, kind) => {
    const { links, one, two, joiner, install, submit, refusals, failed } = aVolume()
    const ended = submit(kind)
    install([one, two, joiner], [])
    for (const link of links) link.answer(link.peerNumber === 3 ? BlockStatus.ioError : BlockStatus.ok)
    expect([refusals.length, failed, ended]).toEqual([0, [3], []])
    install([one, two], [joiner])
    expect(ended).toEqual([BlockStatus.ok])
  },
)

test('atomic write: over two ranges it goes to every member whole, where both have the same', async () => {
  const { links, one, two, install, submit, joiner } = aVolume()
  install([one, two], [], [two, one])
  const ended = submit(BlockKind.writeAtomic, RANGE_BYTES - 4096, 8192)
  // Space first, which only members are asked for.
  for (const link of links.slice(0, 2)) link.answer(BlockStatus.ok)
  const sent = links.map(link => link.sent.map(({ kind, lengthBytes }) => [kind, lengthBytes]))
  expect(sent).toEqual(links.map(() => [[PeerRequestKind.write, 8192]]))
  for (const link of links) link.answer(BlockStatus.ok)
  install([one, two], [], [one, joiner])
  const refused = submit(BlockKind.writeAtomic, RANGE_BYTES - 4096, 8192)
  await Promise.resolve()
  expect([ended, refused]).toEqual([[BlockStatus.ok], [BlockStatus.outOfRange]])
})

test('write: in several pieces it has space for all of them before anything of it is written', () => {
  const { links, submit } = aVolume()
  const members = links.slice(0, 2)
  const sent = () => members.map(link => link.sent.map(({ kind, lengthBytes }) => [kind, lengthBytes]))
  const { reserve, write } = PeerRequestKind
  const refused = submit(BlockKind.write, RANGE_BYTES - 4096, 12288)
  expect(sent()).toEqual(members.map(() => [[reserve, 4096]]))
  for (const link of members) link.answer(BlockStatus.ok)
  expect(sent()).toEqual(members.map(() => [[reserve, 8192]]))
  for (const link of members) link.answer(BlockStatus.noSpace)
  expect([refused, sent()]).toEqual([[BlockStatus.noSpace], [[], []]])
  const ended = submit(BlockKind.write, RANGE_BYTES - 4096, 12288)
  for (const link of members) link.answer(BlockStatus.ok)
  for (const bytes of [4096, 8192]) {
    expect(links.map(link => link.sent.map(({ kind, lengthBytes }) => [kind, lengthBytes]))).toEqual(
      links.map(() => [[write, bytes]]),
    )
    for (const link of links) link.answer(BlockStatus.ok)
  }
  expect(ended).toEqual([BlockStatus.ok])
})

test('flush: a member that is not fenced yet is sent nothing, and nothing while it is suspect', () => {
  const { links, two, extents, submit } = aVolume()
  two.fenced = false
  const ended = submit(BlockKind.flush)
  for (const link of [links[0]!, links[2]!]) link.answer(BlockStatus.ok)
  expect([links[1]!.sent, ended]).toEqual([[], []])
  two.fenced = true
  two.incarnation = 'i'
  links[1]!.identity = { incarnation: 'i' } as PeerLink['identity']
  extents.setFlushesWait(true)
  extents.tick(0)
  expect(links[1]!.sent).toEqual([])
  extents.setFlushesWait(false)
  extents.tick(0)
  links[1]!.answer(BlockStatus.ok)
  expect(ended).toEqual([BlockStatus.ok])
})

test('write in place: where nobody else is in the set the own brick remembers it for the next owner', () => {
  const { extents, install } = aVolume()
  const noted: number[][] = []
  let status: BlockStatus = BlockStatus.ok
  const replica = {
    admit: () => BlockStatus.ok,
    volume: { writeNow: () => status },
    note: (...numbers: number[]) => noted.push(numbers),
  }
  const own = new Member(4, 'b4', null, { replica } as unknown as LocalBrick)
  own.fenced = true
  extents.setGates([])
  install([own], [])
  const data = Buffer.alloc(4096)
  expect(extents.writeNow(8192, 4096, data, 0, null, 5, 17)).toBe(BlockStatus.ok)
  expect(extents.writeNow(0, 4096, data, 0)).toBe(BlockStatus.ok)
  status = BlockStatus.wouldBlock
  extents.writeNow(0, 4096, data, 0, null, 5, 18)
  expect(noted).toEqual([
    [0, 0, BlockKind.write, 8192, 4096, 5, 17],
    [0, 0, BlockKind.write, 0, 4096, 0, 0],
  ])
})

test('extents: what is mapped is told once enough members grant, as a read is answered', async () => {
  const { one, two, extents, install, timers } = aVolume()
  const [hole] = [{ offsetBytes: 0, lengthBytes: 4096, mapped: false }]
  const local = { replica: { volume: { extents: async () => [hole] } } } as unknown as LocalBrick
  const own = new Member(4, 'b4', null, local)
  own.fenced = true
  own.grantedUntilMs = Number.POSITIVE_INFINITY
  one.grantedUntilMs = two.grantedUntilMs = Number.POSITIVE_INFINITY
  extents.setClasses(
    classifyRanges([[own, one, two]], null, 2, () => false),
    [own, one, two],
    [],
  )
  let answer: unknown = null
  const ask = () => {
    answer = null
    const told = (what: unknown) => {
      answer = what
    }
    extents.extents(0, 4096).then(told, error => told(error.code))
  }
  const turn = () => new Promise(resolve => setImmediate(resolve))
  // Not yet served: it may be cold.
  ask()
  await turn()
  expect(answer).toBe(null)
  one.grantedUntilMs = two.grantedUntilMs = 0
  install([own, one, two], [])
  await turn()
  expect(answer).toBe(null)
  one.grantedUntilMs = timers.bootMs() + 1_000
  extents.refreshGrants()
  await turn()
  expect(answer).toEqual([hole])
  // The grant has run out, and nobody brings another.
  timers.pass(2_000)
  ask()
  timers.pass(WAIT_MS_MAX + 1)
  await turn()
  expect(answer).toBe(null)
  extents.tick(timers.bootMs())
  await turn()
  expect(answer).toBe('ERR_BLOCK_UNAVAILABLE')
  ask()
  await turn()
  extents.end()
  await turn()
  expect(answer).toBe('ERR_BLOCK_UNAVAILABLE')
})

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

test('quiet segments: of ranges that the own brick is not in, their members say what is active', async () => {
  const { active, cleared, extents, timers } = aVolume()
  active.set(1, [3, 1024 + 5]).set(2, [3, 4])
  const quiet = async (sinceMs: number, atMost = 10) => {
    extents.quietSegments(sinceMs, atMost)
    await turn()
    return extents.quietSegments(sinceMs, atMost)
  }
  expect(await quiet(timers.now - 1)).toEqual([])
  const quietAt = timers.now
  timers.pass(60_000)
  expect(await quiet(quietAt)).toEqual([3, 1029, 4])
  expect(await quiet(quietAt, 2)).toEqual([3, 1029])
  await extents.clearSegments([3, 1029, 4])
  expect(cleared).toEqual([3, 1029, 4])
  expect(extents.quietSegments(timers.now, 10)).toEqual([])
})

test('quiet segments: the least recently written go first, and what is written to stays', async () => {
  const { active, extents, submit, links, timers } = aVolume()
  active.set(1, [0, 1, 2])
  extents.quietSegments(timers.now, 10)
  await turn()
  const write = (segment: number) => {
    timers.pass(1000)
    submit(BlockKind.write, segment * 4 * 1024 ** 2)
    for (const link of links) while (link.sent.length > 0) link.answer(BlockStatus.ok)
    return timers.now
  }
  write(1)
  const between = write(0)
  write(2)
  expect(extents.quietSegments(between, 10)).toEqual([1, 0])
  expect(extents.quietSegments(timers.now, 10)).toEqual([1, 0, 2])
})

test('quiet segments: what a member keeps active is proposed again, but not at once', async () => {
  const { active, extents, timers } = aVolume()
  active.set(1, [7])
  extents.quietSegments(timers.now, 10)
  await turn()
  timers.pass(60_000)
  await extents.clearSegments(extents.quietSegments(timers.now, 10))
  const clearedAt = timers.now
  extents.quietSegments(clearedAt, 10)
  await turn()
  expect(extents.quietSegments(clearedAt - 1, 10)).toEqual([])
  expect(extents.quietSegments(clearedAt, 10)).toEqual([7])
})

test('quiet segments: none of a range that is not served yet, where what is in doubt is not locked', () => {
  const volume = { quietSegments: () => [3, 1029] }
  const own = new Member(4, 'b4', null, { replica: { volume } } as unknown as LocalBrick)
  own.fenced = true
  const { extents, one, two } = aVolume(own)
  const serve = (isServed: (range: number) => boolean) => {
    const sets = [
      [own, one, two],
      [own, one, two],
    ]
    extents.setClasses(classifyRanges(sets, null, 2, isServed), [own, one, two], [])
  }
  serve(range => range === 1)
  expect(extents.quietSegments(0, 10)).toEqual([1029])
  serve(() => true)
  expect(extents.quietSegments(0, 10)).toEqual([3, 1029])
})
