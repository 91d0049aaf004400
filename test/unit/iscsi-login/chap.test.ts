import { describe, expect, test } from 'vitest'
import {
  ChapAlgorithm,
  chapDigestBytes,
  chapResponse,
} from '../../../src/iscsi-target/chap/chap-algorithm.ts'
import type { ChapPolicy } from '../../../src/iscsi-target/target-directory.ts'
import { parseBinary } from '../../../src/iscsi-target/text/values.ts'
import { DISCOVERY, GUARDED, IDENTITY, INITIATOR, Login, POLICY, type World } from './fixture.ts'

const FIRST = `InitiatorName=${INITIATOR}\0TargetName=${GUARDED}\0`
const SECURITY = { csg: 0, nsg: 1, transit: false }
const LEAVE = { csg: 0, nsg: 1, transit: true }
const ALGORITHMS = Object.entries(ChapAlgorithm)
const THEIR_CHALLENGE = Buffer.from('challenge of the initiator')

const base64 = (bytes: Buffer) => `0b${bytes.toString('base64')}`
const hex = (bytes: Buffer) => `0x${bytes.toString('hex')}`

/** Up to our challenge: answers the login and the right response to it. */
function challenged(offer: string, world: World = {}, first = FIRST) {
  const login = new Login(world)
  login.send(`${first}AuthMethod=CHAP,None\0`, SECURITY)
  const { keys, status, step } = login.send(`CHAP_A=${offer}\0`, SECURITY)
  const algorithm = Number(keys.get('CHAP_A')) as ChapAlgorithm
  const challenge = parseBinary(keys.get('CHAP_C') ?? '', 1024)!
  const identifier = Number(keys.get('CHAP_I'))
  const respond = (secret: Buffer) => chapResponse(algorithm, identifier, secret, challenge)
  return { login, status, step, algorithm, challenge, identifier, respond }
}

test.each(ALGORITHMS)('%s: the right secret opens the target', (_, algorithm) => {
  const { login, respond, challenge } = challenged(String(algorithm))
  expect(challenge).toHaveLength(chapDigestBytes(algorithm))
  const { step, keys } = login.send(`CHAP_N=alice\0CHAP_R=${hex(respond(POLICY.secret))}\0`, LEAVE)
  expect(step).toMatchObject({ next: 'answer', reply: { header: { transit: true, nsg: 1 } } })
  expect(keys.size).toBe(0)
  expect(login.send('').outcome).toMatchObject({ chapUser: 'alice', target: { name: GUARDED } })
})

test.each(ALGORITHMS)('%s: mutual, we prove ourselves to the initiator', (_, algorithm) => {
  const { login, respond } = challenged(String(algorithm))
  const { keys, step } = login.send(
    `CHAP_N=alice\0CHAP_R=${base64(respond(POLICY.secret))}\0CHAP_I=77\0CHAP_C=${hex(THEIR_CHALLENGE)}\0`,
    LEAVE,
  )
  expect(step).toMatchObject({ reply: { header: { transit: true } } })
  expect(keys.get('CHAP_N')).toBe('target')
  const proof = chapResponse(algorithm, 77, POLICY.mutual!.secret, THEIR_CHALLENGE)
  expect(parseBinary(keys.get('CHAP_R')!, 1024)).toEqual(proof)
})

test('md5: agrees with the hash written out by hand', () => {
  // printf '\001abcdefghijkl0123' | md5sum
  const response = chapResponse(ChapAlgorithm.md5, 1, Buffer.from('abcdefghijkl'), Buffer.from('0123'))
  expect(response.toString('hex')).toBe('8bbbd7ad6a6601b55e591dfd2a9788bf')
})

test.each([
  ['5,6,7,8', undefined, 8],
  ['5,7', undefined, 7],
  ['5,6', undefined, 6],
  ['5', undefined, 5],
  ['8,7,6,5', [5, 6] as const, 6],
  ['0x7,5', undefined, 7],
])('algorithms: of %s, with %s allowed, %i wins', (offer, chapAlgorithms, winner) => {
  const world = chapAlgorithms === undefined ? {} : { parameters: { chapAlgorithms } }
  expect(challenged(offer, world).algorithm).toBe(winner)
})

test.each([
  ['none in common', '5', [7, 8] as const],
  ['unknown ones', '1,2,99', [5] as const],
  ['no number', 'MD5', [5] as const],
])('algorithms: %s is an authentication failure', (_, offer, chapAlgorithms) => {
  expect(challenged(offer, { parameters: { chapAlgorithms } }).status).toBe(0x0201)
})

describe('authentication failures', () => {
  const right = (respond: (secret: Buffer) => Buffer) => hex(respond(POLICY.secret))
  const theirs = `CHAP_I=1\0CHAP_C=${hex(THEIR_CHALLENGE)}\0`
  const oneWay: ChapPolicy = { user: POLICY.user, secret: POLICY.secret }
  test.each<[string, (respond: (secret: Buffer) => Buffer) => string, ChapPolicy?]>([
    ['a wrong secret', r => `CHAP_N=alice\0CHAP_R=${hex(r(Buffer.from('mallory-secret')))}\0`],
    ['a wrong user', r => `CHAP_N=bob\0CHAP_R=${right(r)}\0`],
    ['a response cut short', r => `CHAP_N=alice\0CHAP_R=${right(r).slice(0, -2)}\0`],
    ['a response of text', () => 'CHAP_N=alice\0CHAP_R=secret\0'],
    ['a response of more than 1024 bytes', () => `CHAP_N=alice\0CHAP_R=0x${'00'.repeat(1025)}\0`],
    ['no user', r => `CHAP_R=${right(r)}\0`],
    ['no response', () => 'CHAP_N=alice\0'],
    ['mutual CHAP that is not configured', r => `CHAP_N=alice\0CHAP_R=${right(r)}\0${theirs}`, oneWay],
    ['a challenge without identifier', r => `CHAP_N=alice\0CHAP_R=${right(r)}\0CHAP_C=0x01\0`],
    ['an identifier above 255', r => `CHAP_N=alice\0CHAP_R=${right(r)}\0CHAP_I=256\0CHAP_C=0x01\0`],
    ['an empty challenge', r => `CHAP_N=alice\0CHAP_R=${right(r)}\0CHAP_I=1\0CHAP_C=0x\0`],
  ])('%s', (_, text, policy) => {
    const { login, respond } = challenged('5', policy === undefined ? {} : { policy })
    const answer = login.send(text(respond), LEAVE)
    expect([answer.step.next, answer.status, answer.keys.size]).toEqual(['refused', 0x0201, 0])
  })

  test('None alone, where CHAP is needed', () => {
    expect(new Login().send(`${FIRST}AuthMethod=None\0`, LEAVE).status).toBe(0x0201)
  })

  test('CHAP alone, where we have nobody to check it with', () => {
    expect(new Login().send(`${IDENTITY}AuthMethod=CHAP\0`, LEAVE).status).toBe(0x0201)
  })

  test('leaving the security stage without a word about authentication', () => {
    expect(new Login().send(FIRST, LEAVE).status).toBe(0x0201)
  })
})

test('methods: CHAP is chosen where it is needed, None where it is not, wherever they stand', () => {
  expect(new Login().send(`${FIRST}AuthMethod=None,CHAP\0`, LEAVE).keys.get('AuthMethod')).toBe('CHAP')
  expect(new Login().send(`${IDENTITY}AuthMethod=CHAP,None\0`, LEAVE).keys.get('AuthMethod')).toBe('None')
})

test('transition: T of the initiator waits until it has proved itself', () => {
  const login = new Login()
  const chosen = login.send(`${FIRST}AuthMethod=CHAP\0`, LEAVE)
  expect(chosen.step).toMatchObject({ next: 'answer', reply: { header: { transit: false, nsg: 0 } } })
  const challenge = login.send('CHAP_A=5\0', LEAVE)
  expect(challenge.step).toMatchObject({ next: 'answer', reply: { header: { transit: false } } })
})

test('order: the operational stage is closed until CHAP is done', () => {
  const { login } = challenged('5')
  expect(login.send('', { csg: 1, nsg: 3 }).status).toBe(0x0200)
})

test('order: CHAP keys before AuthMethod end the login', () => {
  expect(new Login().send(`${FIRST}CHAP_A=5\0`, SECURITY).status).toBe(0x0200)
})

test('reflection: our own challenge sent back closes the connection without an answer', () => {
  const { login, respond, challenge, identifier } = challenged('7')
  const { step } = login.send(
    `CHAP_N=alice\0CHAP_R=${hex(respond(POLICY.secret))}\0CHAP_I=${identifier}\0CHAP_C=${base64(challenge)}\0`,
    LEAVE,
  )
  expect(step).toEqual({ next: 'close', fault: 'CHAP challenge reflected' })
})

test('challenges: identifier and challenge are drawn anew for each login', () => {
  const { login } = challenged('8')
  expect(login.random.map(bytes => bytes.length)).toEqual([1, 32])
})

test('discovery: has a policy of its own', () => {
  const discoveryPolicy = { user: 'scout', secret: Buffer.from('scout-secret-12') }
  const { login, respond } = challenged('6', { discoveryPolicy }, DISCOVERY)
  login.send(`CHAP_N=scout\0CHAP_R=${hex(respond(discoveryPolicy.secret))}\0`, LEAVE)
  expect(login.send('').outcome).toMatchObject({ sessionType: 'discovery', chapUser: 'scout' })
  expect(new Login({ discoveryPolicy }).send(DISCOVERY).status).toBe(0x0201)
})
