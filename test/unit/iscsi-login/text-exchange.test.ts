import { describe, expect, test } from 'vitest'
import { TextExchange } from '../../../src/iscsi-target/login/text-exchange.ts'
import type { TextRequestFields } from '../../../src/iscsi-target/wire/text.ts'
import { DISCOVERY, directory, GUARDED, IDENTITY, Login, TARGET } from './fixture.ts'

const NO_TAG = 0xffffffff
const NO_TEXT: string[] = []
const CLOSED = { text: NO_TEXT, ttt: NO_TAG, final: true, continued: false, data: Buffer.alloc(0) }

function exchange(identity: string, maxRecv = 8192) {
  const { outcome } = new Login().send(`${identity}MaxRecvDataSegmentLength=${maxRecv}\0`)
  const text = new TextExchange(outcome!, directory(), { listener: 0, localAddress: '127.0.0.1:3260' })
  return {
    parameters: outcome!.parameters,
    send(data: string, fields: Partial<TextRequestFields> = {}) {
      const request = {
        ...{ immediate: true, final: true, continued: false, lunHigh: 0, lunLow: 0, itt: 1 },
        ...{ ttt: NO_TAG, cmdSn: 1, expStatSn: 1, ...fields },
      }
      const step = text.receive(request, Buffer.from(data))
      if (step.next === 'reject') return { ...CLOSED, rejected: step.rejection.reason }
      const { reply } = step
      return { ...reply, rejected: null, text: reply.data.toString().split('\0').slice(0, -1) }
    },
  }
}

const ADDRESSES = ['TargetAddress=127.0.0.1:3260,3', 'TargetAddress=[::1]:3260,3']

describe('SendTargets', () => {
  test.each([
    [
      'All in discovery',
      DISCOVERY,
      'All',
      [`TargetName=${TARGET}`, ...ADDRESSES, `TargetName=${GUARDED}`, ...ADDRESSES],
    ],
    ['a name in discovery', DISCOVERY, GUARDED, [`TargetName=${GUARDED}`, ...ADDRESSES]],
    ['an unknown name in discovery', DISCOVERY, 'iqn.none', []],
    ['nothing in discovery', DISCOVERY, '', ['SendTargets=Reject']],
    ['nothing in a normal session', IDENTITY, '', [`TargetName=${TARGET}`, ...ADDRESSES]],
    ['its own name in a normal session', IDENTITY, TARGET, [`TargetName=${TARGET}`, ...ADDRESSES]],
    ['All in a normal session', IDENTITY, 'All', ['SendTargets=Reject']],
    ['another name in a normal session', IDENTITY, GUARDED, ['SendTargets=Reject']],
  ])('%s', (_, identity, value, answer) => {
    const reply = exchange(identity).send(`SendTargets=${value}\0`)
    expect(reply).toMatchObject({ rejected: null, final: true, continued: false, ttt: NO_TAG, text: answer })
  })

  test('an answer longer than the initiator takes comes in pieces', () => {
    const { send } = exchange(DISCOVERY, 512)
    const long = Array.from({ length: 30 }, (_, i) => `X-${String(i).padStart(3, '0')}=1`)
    let reply = send(`SendTargets=All\0${long.join('\0')}\0`)
    const pieces: string[] = []
    while (!reply.final) {
      expect(reply).toMatchObject({ continued: true, final: false })
      expect(reply.ttt).not.toBe(NO_TAG)
      pieces.push(reply.data.toString())
      reply = send('', { ttt: reply.ttt })
    }
    pieces.push(reply.data.toString())
    expect(pieces.length).toBeGreaterThan(1)
    expect(pieces.every(piece => piece.length <= 512)).toBe(true)
    expect(
      pieces
        .join('')
        .split('\0')
        .filter(line => line.endsWith('=NotUnderstood')),
    ).toHaveLength(30)
    expect(reply.ttt).toBe(NO_TAG)
  })
})

test('requests: split with the C bit they are answered when whole', () => {
  const { send } = exchange(DISCOVERY)
  const first = send('SendTar', { final: false, continued: true })
  expect(first).toMatchObject({ text: [], final: false, continued: false })
  const second = send('gets=A', { final: false, continued: true, ttt: first.ttt })
  expect(second.ttt).toBe(first.ttt)
  expect(send('ll\0', { ttt: first.ttt }).text[0]).toBe(`TargetName=${TARGET}`)
})

test('requests: an initiator that is not done keeps the exchange open', () => {
  const { send } = exchange(DISCOVERY)
  const open = send('X-a=1\0', { final: false })
  expect(open).toMatchObject({ text: ['X-a=NotUnderstood'], final: false, continued: false })
  expect(send('', { ttt: open.ttt })).toMatchObject({ text: [], final: true, ttt: NO_TAG })
})

test('requests: a new exchange drops the one before it', () => {
  const { send } = exchange(DISCOVERY)
  const half = send('SendTargets=', { final: false, continued: true })
  expect(send('X-b=1\0').text).toEqual(['X-b=NotUnderstood'])
  expect(send('All\0', { ttt: half.ttt }).rejected).toBe(0x04)
})

test.each([
  ['a tag that was never given', 'X-a=1\0', { ttt: 99 }],
  ['a key twice', 'X-a=1\0X-a=2\0', {}],
  ['no equals sign', 'X-a\0', {}],
  ['more than 8 KiB', `X-a=${'b'.repeat(8192)}\0`, {}],
])('requests: %s is a protocol error', (_, text, fields) => {
  expect(exchange(DISCOVERY).send(text, fields).rejected).toBe(0x04)
})

test('requests: text while our own answer goes on is a protocol error', () => {
  const { send } = exchange(DISCOVERY, 512)
  const long = Array.from({ length: 40 }, (_, i) => `X-${i}=1\0`).join('')
  const first = send(long)
  expect(send('X-z=1\0', { ttt: first.ttt }).rejected).toBe(0x04)
})

test('renegotiation: the initiator may change what it takes, in full feature phase too', () => {
  const { send, parameters } = exchange(IDENTITY)
  expect(send('MaxRecvDataSegmentLength=65536\0').text).toEqual([])
  expect(parameters.initiatorMaxRecvDataSegmentLength).toBe(65536)
  expect(send('MaxRecvDataSegmentLength=17\0').text).toEqual(['MaxRecvDataSegmentLength=Reject'])
  expect(parameters.initiatorMaxRecvDataSegmentLength).toBe(65536)
})

test.each([
  ['MaxBurstLength=512', ['MaxBurstLength=Reject']],
  ['HeaderDigest=CRC32C', ['HeaderDigest=Reject']],
  ['InitiatorName=iqn.other', ['InitiatorName=Reject']],
  ['AuthMethod=None', ['AuthMethod=Reject']],
  ['TargetAlias=a', ['TargetAlias=Reject']],
  ['OFMarkInt=1~2', ['OFMarkInt=Reject']],
  ['InitiatorAlias=box', []],
  ['X-com.example=1', ['X-com.example=NotUnderstood']],
])('keys: %s in full feature phase', (pair, answer) => {
  expect(exchange(IDENTITY).send(`${pair}\0`).text).toEqual(answer)
})
