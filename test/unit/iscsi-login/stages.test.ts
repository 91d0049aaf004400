import { describe, expect, test } from 'vitest'
import { DISCOVERY, GUARDED, IDENTITY, INITIATOR, Login, PORTAL_GROUP_TAG, TARGET } from './fixture.ts'

const SECURITY_FIRST = { csg: 0, nsg: 1 }
const STAY = { transit: false, nsg: 0 }

test('login: straight from the operational stage into full feature phase', () => {
  const { step, outcome, keys } = new Login().send(IDENTITY, { cid: 4 })
  expect(keys.get('TargetPortalGroupTag')).toBe(String(PORTAL_GROUP_TAG))
  expect(step).toMatchObject({
    reply: { header: { transit: true, csg: 1, nsg: 3, statusClass: 0, tsih: 0 } },
  })
  expect(outcome).toMatchObject({
    sessionType: 'normal',
    initiatorName: INITIATOR,
    initiatorAlias: null,
    isid: '00023d000001',
    tsih: 0,
    cid: 4,
    target: { name: TARGET },
    chapUser: null,
    proof: null,
    nextStatSn: 501,
    expCmdSn: 100,
  })
})

test('login: through the security stage, with None, stage by stage', () => {
  const login = new Login()
  const security = login.send(`${IDENTITY}InitiatorAlias=box\0AuthMethod=None\0`, SECURITY_FIRST)
  expect(Object.fromEntries(security.keys)).toEqual({ TargetPortalGroupTag: '3', AuthMethod: 'None' })
  expect(security.step).toMatchObject({ reply: { header: { transit: true, csg: 0, nsg: 1, statSn: 500 } } })
  const operational = login.send('HeaderDigest=CRC32C\0')
  expect(operational.keys.has('TargetPortalGroupTag')).toBe(false)
  expect(operational.outcome).toMatchObject({ initiatorAlias: 'box', nextStatSn: 502 })
})

test('login: from the security stage straight into full feature phase the defaults hold', () => {
  const { outcome } = new Login().send(`${IDENTITY}AuthMethod=None\0`, { csg: 0, nsg: 3 })
  expect(outcome!.parameters).toMatchObject({
    targetMaxRecvDataSegmentLength: 8192,
    initialR2T: true,
    maxBurstLength: 262144,
  })
})

test('login: operational keys that come in the security stage are answered there', () => {
  const login = new Login()
  const text = 'AuthMethod=None\0MaxBurstLength=8192\0MaxRecvDataSegmentLength=4096\0'
  const { keys } = login.send(`${IDENTITY}${text}`, SECURITY_FIRST)
  expect(keys.get('MaxBurstLength')).toBe('8192')
  expect(keys.get('MaxRecvDataSegmentLength')).toBe('262144')
  const { outcome, keys: later } = login.send('')
  expect(later.size).toBe(0)
  expect(outcome!.parameters).toMatchObject({ maxBurstLength: 8192, initiatorMaxRecvDataSegmentLength: 4096 })
})

test('login: a target that is served at another portal for the time being is named with its address', () => {
  const { status, keys, step } = new Login().send(
    `InitiatorName=${INITIATOR}\0TargetName=iqn.2026-11.test:moved\0`,
  )
  expect(step.next).toBe('refused')
  expect(status).toBe(0x0101)
  expect(Object.fromEntries(keys)).toEqual({ TargetAddress: '192.0.2.7:3260' })
})

test('login: without T we stay in the stage and answer without T', () => {
  const login = new Login()
  expect(login.send(IDENTITY, STAY).step).toMatchObject({
    next: 'answer',
    reply: { header: { transit: false } },
  })
  expect(login.send('', STAY).step).toMatchObject({ next: 'answer', reply: { header: { nsg: 0 } } })
  expect(login.send('').outcome).not.toBeNull()
})

test('login: the command window stands in every response', () => {
  const { step } = new Login({ commandWindow: 32 }).send(IDENTITY, { cmdSn: 0xffffffff })
  expect(step).toMatchObject({ reply: { header: { expCmdSn: 0xffffffff, maxCmdSn: 30 } } })
})

test('login: stock initiators repeat their names in the operational stage', () => {
  const login = new Login()
  login.send(`${IDENTITY}SessionType=Normal\0AuthMethod=None\0`, SECURITY_FIRST)
  expect(login.send(`${IDENTITY}SessionType=Normal\0`).outcome).not.toBeNull()
})

test('discovery: needs no target, and tells no portal group tag', () => {
  const { keys, outcome } = new Login().send(DISCOVERY)
  expect([...keys.keys()]).toEqual(['MaxRecvDataSegmentLength'])
  expect(outcome).toMatchObject({ sessionType: 'discovery', target: null })
})

describe('refusals of a first request', () => {
  const longName = `iqn.${'a'.repeat(220)}`
  test.each([
    ['no InitiatorName', `TargetName=${TARGET}\0`, 0x0207],
    ['no TargetName', `InitiatorName=${INITIATOR}\0`, 0x0207],
    ['nothing at all', '', 0x0207],
    ['an unknown target', `InitiatorName=${INITIATOR}\0TargetName=iqn.2026-11.test:none\0`, 0x0203],
    ['a target closed to it', `InitiatorName=${INITIATOR}\0TargetName=iqn.2026-11.test:forbidden\0`, 0x0202],
    [
      'a target that recovers',
      `InitiatorName=${INITIATOR}\0TargetName=iqn.2026-11.test:recovering\0`,
      0x0301,
    ],
    ['an unknown session type', `InitiatorName=${INITIATOR}\0SessionType=Copy\0`, 0x0209],
    ['an empty name', `InitiatorName=\0TargetName=${TARGET}\0`, 0x0200],
    ['a name with a space', `InitiatorName=iqn.a b\0TargetName=${TARGET}\0`, 0x0200],
    ['a name of 224 bytes', `InitiatorName=${longName}\0TargetName=${TARGET}\0`, 0x0200],
    ['an alias of 256 bytes', `${IDENTITY}InitiatorAlias=${'a'.repeat(256)}\0`, 0x0200],
    ['two different names', `${IDENTITY}InitiatorName=iqn.other\0`, 0x0200],
    [
      'a target where CHAP is needed, without security',
      `InitiatorName=${INITIATOR}\0TargetName=${GUARDED}\0`,
      0x0201,
    ],
    ['SendTargets', `${IDENTITY}SendTargets=All\0`, 0x0200],
    ['a key of targets', `${IDENTITY}TargetAlias=me\0`, 0x0200],
    ['AuthMethod outside the security stage', `${IDENTITY}AuthMethod=None\0`, 0x0200],
    ['text without a final NUL', 'InitiatorName=a', 0x0200],
    ['text without an equals sign', 'InitiatorName\0', 0x0200],
    ['a key that starts with a digit', `${IDENTITY}9=1\0`, 0x0200],
    ['a key of 64 bytes', `${IDENTITY}${'K'.repeat(64)}=1\0`, 0x0200],
    ['65 keys', Array.from({ length: 65 }, (_, i) => `X-${i}=\0`).join(''), 0x0200],
  ])('%s', (_, text, status) => {
    const answer = new Login().send(text)
    expect([answer.step.next, answer.status]).toEqual(['refused', status])
    expect(answer.keys.size).toBe(0)
  })

  test.each([
    ['a version that we do not have', { versionMin: 1, versionMax: 1 }, 0x0205],
    ['the reserved stage', { csg: 2 }, 0x0200],
    ['full feature phase as current stage', { csg: 3 }, 0x0200],
    ['a step to the same stage', { nsg: 1 }, 0x0200],
    ['a step back', { nsg: 0 }, 0x0200],
    ['a step to the reserved stage', { nsg: 2 }, 0x0200],
    ['T and C together', { continued: true }, 0x0200],
  ])('%s', (_, fields, status) => {
    const answer = new Login().send(IDENTITY, fields)
    expect([answer.step.next, answer.status]).toEqual(['refused', status])
  })
})

test('versions: a range that includes ours is fine', () => {
  expect(new Login().send(IDENTITY, { versionMin: 0, versionMax: 3 }).outcome).not.toBeNull()
})

describe('refusals later on', () => {
  test.each([
    ['another stage than agreed', '', { csg: 0, nsg: 1 }],
    ['another ISID', '', { isid: '00023d000002' }],
    ['another TSIH', '', { tsih: 1 }],
    ['another CID', '', { cid: 1 }],
    ['a target name that comes late', `TargetName=${GUARDED}\0`, {}],
  ])('%s', (_, text, fields) => {
    const login = new Login()
    expect(login.send(IDENTITY, STAY).status).toBe(0)
    expect(login.send(text, fields).status).toBe(0x0200)
  })

  test('more requests than any login needs', () => {
    const login = new Login()
    login.send(IDENTITY, STAY)
    const statuses = Array.from({ length: 64 }, () => login.send('', STAY).status)
    expect(statuses.slice(0, 63).every(status => status === 0)).toBe(true)
    expect(statuses[63]).toBe(0x0200)
  })
})

describe('a login with a TSIH', () => {
  test.each([
    ['of no session', 0x020a],
    ['of a session whose one connection lives', 0x0206],
  ] as const)('%s is refused', (_, status) => {
    expect(new Login({ sessionStatus: status }).send(IDENTITY, { tsih: 7 }).status).toBe(status)
  })

  test('of a session that takes it back is accepted', () => {
    const { outcome, step } = new Login({ sessionStatus: 0 }).send(IDENTITY, { tsih: 7 })
    expect(outcome!.tsih).toBe(7)
    expect(step).toMatchObject({ reply: { header: { tsih: 7 } } })
  })
})

test('refuse: the session layer can end a login that would have succeeded', () => {
  const login = new Login()
  const request = {
    ...{ transit: true, continued: false, csg: 1, nsg: 3, versionMax: 0, versionMin: 0 },
    tsih: 0,
  }
  const fields = { ...request, isid: '00023d000001', itt: 9, cid: 0, cmdSn: 1, expStatSn: 1 }
  expect(login.negotiation.refuse(fields, 0x0302, 'too many sessions')).toMatchObject({
    next: 'refused',
    status: 0x0302,
    reply: { header: { statusClass: 3, statusDetail: 2, transit: false, itt: 9 } },
  })
})

test('stock initiators: what open-iscsi proposes becomes the fastest that we have', () => {
  const login = new Login()
  login.send(`${IDENTITY}InitiatorAlias=host\0SessionType=Normal\0AuthMethod=None\0`, SECURITY_FIRST)
  const { outcome } = login.send(
    'HeaderDigest=None\0DataDigest=None\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0IFMarker=No\0OFMarker=No\0' +
      'ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=16776192\0FirstBurstLength=262144\0' +
      'MaxOutstandingR2T=1\0MaxConnections=1\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0' +
      'MaxRecvDataSegmentLength=262144\0',
  )
  expect(outcome!.parameters).toEqual({
    headerDigest: false,
    dataDigest: false,
    maxConnections: 1,
    initialR2T: false,
    immediateData: true,
    initiatorMaxRecvDataSegmentLength: 262144,
    targetMaxRecvDataSegmentLength: 262144,
    maxBurstLength: 1048576,
    firstBurstLength: 262144,
    defaultTime2Wait: 2,
    defaultTime2Retain: 0,
    maxOutstandingR2T: 1,
    dataPduInOrder: true,
    dataSequenceInOrder: true,
    errorRecoveryLevel: 0,
  })
})
