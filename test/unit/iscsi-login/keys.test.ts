import { describe, expect, test } from 'vitest'
import type { LoginParameters } from '../../../src/iscsi-target/login/login-parameters.ts'
import { defaultNegotiatedParameters } from '../../../src/iscsi-target/login/operational-keys.ts'
import { DISCOVERY, IDENTITY, Login } from './fixture.ts'

type Parameters = ReturnType<typeof defaultNegotiatedParameters>

interface Row {
  readonly key: string
  /** Offer and the answer to it, and what then holds. */
  readonly offers: readonly (readonly [offer: string, answer: string, effect: Partial<Parameters>])[]
  readonly illegal: readonly string[]
  readonly discovery: 'Irrelevant' | 'same'
}

const MIB = 1024 * 1024

/** RFC 7143 §13, each key by its rule, against our default parameters. */
const ROWS: readonly Row[] = [
  {
    key: 'HeaderDigest',
    offers: [
      ['None', 'None', { headerDigest: false }],
      ['CRC32C', 'CRC32C', { headerDigest: true }],
      ['CRC32C,None', 'CRC32C', { headerDigest: true }],
      ['None,CRC32C', 'None', { headerDigest: false }],
      ['X-md5,CRC32C,None', 'CRC32C', { headerDigest: true }],
    ],
    illegal: ['', 'crc32c', 'SHA1', 'Yes'],
    discovery: 'same',
  },
  {
    key: 'DataDigest',
    offers: [
      ['None', 'None', { dataDigest: false }],
      ['CRC32C', 'CRC32C', { dataDigest: true }],
      ['CRC32C,None', 'CRC32C', { dataDigest: true }],
    ],
    illegal: ['', 'CRC64'],
    discovery: 'same',
  },
  {
    key: 'MaxConnections',
    offers: [
      ['1', '1', { maxConnections: 1 }],
      ['65535', '1', { maxConnections: 1 }],
    ],
    illegal: ['0', '65536', '-1', 'two', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'InitialR2T',
    offers: [
      ['No', 'No', { initialR2T: false }],
      ['Yes', 'Yes', { initialR2T: true }],
    ],
    illegal: ['yes', '1', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'ImmediateData',
    offers: [
      ['Yes', 'Yes', { immediateData: true }],
      ['No', 'No', { immediateData: false }],
    ],
    illegal: ['true', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'MaxBurstLength',
    offers: [
      ['16776192', String(MIB), { maxBurstLength: MIB }],
      ['262144', '262144', { maxBurstLength: 262144 }],
      ['0x40000', '262144', { maxBurstLength: 262144 }],
      ['65536', '65536', { maxBurstLength: 65536, firstBurstLength: 65536 }],
      ['512', '512', { maxBurstLength: 512, firstBurstLength: 512 }],
      ['16777215', String(MIB), { maxBurstLength: MIB }],
    ],
    illegal: ['511', '16777216', '512~1024', '1e5', '99999999999999999999', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'FirstBurstLength',
    offers: [
      ['262144', '262144', { firstBurstLength: 262144 }],
      ['16777215', '262144', { firstBurstLength: 262144 }],
      ['512', '512', { firstBurstLength: 512 }],
    ],
    illegal: ['511', '16777216', 'all'],
    discovery: 'Irrelevant',
  },
  {
    key: 'DefaultTime2Wait',
    offers: [
      ['0', '0', { defaultTime2Wait: 0 }],
      ['3600', '3600', { defaultTime2Wait: 3600 }],
    ],
    illegal: ['3601', '-1', ''],
    discovery: 'same',
  },
  {
    key: 'DefaultTime2Retain',
    offers: [
      ['0', '0', { defaultTime2Retain: 0 }],
      ['3600', '0', { defaultTime2Retain: 0 }],
    ],
    illegal: ['3601', ''],
    discovery: 'same',
  },
  {
    key: 'MaxOutstandingR2T',
    offers: [
      ['1', '1', { maxOutstandingR2T: 1 }],
      ['8', '8', { maxOutstandingR2T: 8 }],
      ['65535', '8', { maxOutstandingR2T: 8 }],
    ],
    illegal: ['0', '65536', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'DataPDUInOrder',
    offers: [
      ['Yes', 'Yes', { dataPduInOrder: true }],
      ['No', 'Yes', { dataPduInOrder: true }],
    ],
    illegal: ['Maybe'],
    discovery: 'Irrelevant',
  },
  {
    key: 'DataSequenceInOrder',
    offers: [
      ['Yes', 'Yes', { dataSequenceInOrder: true }],
      ['No', 'Yes', { dataSequenceInOrder: true }],
    ],
    illegal: [''],
    discovery: 'Irrelevant',
  },
  {
    key: 'ErrorRecoveryLevel',
    offers: [
      ['0', '0', { errorRecoveryLevel: 0 }],
      ['2', '0', { errorRecoveryLevel: 0 }],
    ],
    illegal: ['3', ''],
    discovery: 'same',
  },
  {
    key: 'TaskReporting',
    offers: [
      ['RFC3720', 'RFC3720', {}],
      ['FastAbort,ResponseFence,RFC3720', 'RFC3720', {}],
    ],
    illegal: ['FastAbort', ''],
    discovery: 'Irrelevant',
  },
  {
    key: 'iSCSIProtocolLevel',
    offers: [
      ['1', '1', {}],
      ['2', '1', {}],
      ['0', '0', {}],
    ],
    illegal: ['32', 'one'],
    discovery: 'Irrelevant',
  },
  { key: 'OFMarker', offers: [['No', 'No', {}]], illegal: ['Yes', ''], discovery: 'same' },
  { key: 'IFMarker', offers: [['No', 'No', {}]], illegal: ['Yes', ''], discovery: 'same' },
  { key: 'OFMarkInt', offers: [], illegal: ['2048~8192', '2048'], discovery: 'same' },
  { key: 'IFMarkInt', offers: [], illegal: ['2048~8192'], discovery: 'same' },
  {
    key: 'X-com.example.turbo',
    offers: [['Yes', 'NotUnderstood', {}]],
    illegal: [],
    discovery: 'same',
  },
  { key: 'RDMAExtensions', offers: [['Yes', 'NotUnderstood', {}]], illegal: [], discovery: 'same' },
]

const DECLARED = { targetMaxRecvDataSegmentLength: 262144 }

function valueFor(row: Row): string {
  return row.offers[0]?.[0] ?? row.illegal[0]
}

describe.each(ROWS)('$key', row => {
  const { key, offers, illegal } = row

  test.each(offers)('offered as %j it is answered %j', (offer, answer, effect) => {
    const { keys, outcome, status } = new Login().send(`${IDENTITY}${key}=${offer}\0`)
    expect(status).toBe(0)
    expect(keys.get(key)).toBe(answer)
    expect(outcome!.parameters).toEqual({ ...defaultNegotiatedParameters(), ...DECLARED, ...effect })
  })

  test('absent it is not answered and its default holds', () => {
    const { keys, outcome } = new Login().send(IDENTITY)
    expect(keys.has(key)).toBe(false)
    expect(outcome!.parameters).toEqual({ ...defaultNegotiatedParameters(), ...DECLARED })
  })

  test.each([...illegal])('as %j it is rejected, the default holds, and the login goes on', offer => {
    const { keys, outcome } = new Login().send(`${IDENTITY}${key}=${offer}\0`)
    expect(keys.get(key)).toBe('Reject')
    expect(outcome!.parameters).toEqual({ ...defaultNegotiatedParameters(), ...DECLARED })
  })

  test('repeated in one request it ends the login', () => {
    const { status, step } = new Login().send(`${IDENTITY}${`${key}=${valueFor(row)}\0`.repeat(2)}`)
    expect([step.next, status]).toEqual(['refused', 0x0200])
  })

  test('repeated in a later request it ends the login', () => {
    const login = new Login()
    expect(login.send(`${IDENTITY}${key}=${valueFor(row)}\0`, { transit: false, nsg: 0 }).status).toBe(0)
    expect(login.send(`${key}=${valueFor(row)}\0`).status).toBe(0x0200)
  })

  test('split over requests with the C bit, anywhere, it is answered as in one piece', () => {
    const whole = new Login().send(`${IDENTITY}${key}=${valueFor(row)}\0`)
    const text = Buffer.from(`${IDENTITY}${key}=${valueFor(row)}\0`)
    for (let cut = IDENTITY.length; cut <= text.length; cut += 3) {
      const login = new Login()
      const half = login.send(text.subarray(0, cut), { transit: false, continued: true, nsg: 0 })
      expect([half.step.next, half.keys.size]).toEqual(['answer', 0])
      const rest = login.send(text.subarray(cut))
      expect(rest.keys).toEqual(whole.keys)
      expect(rest.outcome!.parameters).toEqual(whole.outcome!.parameters)
    }
  })

  test('longer than 8 KiB over its requests it ends the login', () => {
    const login = new Login()
    const long = Buffer.from(`${IDENTITY}${key}=`.padEnd(8192, 'a'))
    expect(login.send(long, { transit: false, continued: true, nsg: 0 }).status).toBe(0)
    expect(login.send('\0').status).toBe(0x0200)
  })

  test('in a discovery session it is irrelevant, or answered as always', () => {
    const { keys } = new Login().send(`${DISCOVERY}${key}=${valueFor(row)}\0`)
    const usual = offers[0]?.[1] ?? 'Reject'
    expect(keys.get(key)).toBe(row.discovery === 'same' ? usual : 'Irrelevant')
  })
})

test('values: longer than 255 bytes they are rejected where a key is understood', () => {
  const { keys, status } = new Login().send(`${IDENTITY}HeaderDigest=CRC32C,${'a'.repeat(250)}\0`)
  expect([status, keys.get('HeaderDigest')]).toEqual([0, 'Reject'])
})

test('values: a word of refusal is no offer and is not answered', () => {
  const { keys } = new Login().send(`${IDENTITY}MaxBurstLength=NotUnderstood\0OFMarker=Irrelevant\0`)
  expect([...keys.keys()]).toEqual(['TargetPortalGroupTag', 'MaxRecvDataSegmentLength'])
})

test('sequences: exactly 8 KiB are taken', () => {
  const filler = `X-a=${'b'.repeat(8192 - IDENTITY.length - 5)}\0`
  const { status, keys } = new Login().send(`${IDENTITY}${filler}`)
  expect([status, keys.get('X-a')]).toEqual([0, 'NotUnderstood'])
})

test('bursts: FirstBurstLength never passes the MaxBurstLength of the same request, in either order', () => {
  for (const text of [
    'MaxBurstLength=65536\0FirstBurstLength=262144\0',
    'FirstBurstLength=262144\0MaxBurstLength=65536\0',
  ]) {
    const { keys, outcome } = new Login().send(`${IDENTITY}${text}`)
    expect(keys.get('FirstBurstLength')).toBe('65536')
    expect(outcome!.parameters).toMatchObject({ maxBurstLength: 65536, firstBurstLength: 65536 })
  }
})

test('our side: what is configured bounds what is agreed', () => {
  const parameters: Partial<LoginParameters> = {
    immediateData: false,
    initialR2T: true,
    maxBurstLength: 4096,
    firstBurstLength: 2048,
    defaultTime2Wait: 5,
    headerDigests: ['CRC32C'],
    maxRecvDataSegmentLength: 65536,
  }
  const { keys } = new Login({ parameters }).send(
    `${IDENTITY}ImmediateData=Yes\0InitialR2T=No\0MaxBurstLength=262144\0FirstBurstLength=262144\0` +
      'DefaultTime2Wait=2\0HeaderDigest=None,CRC32C\0',
  )
  expect(Object.fromEntries(keys)).toEqual({
    TargetPortalGroupTag: '3',
    ImmediateData: 'No',
    InitialR2T: 'Yes',
    MaxBurstLength: '4096',
    FirstBurstLength: '2048',
    DefaultTime2Wait: '5',
    HeaderDigest: 'CRC32C',
    MaxRecvDataSegmentLength: '65536',
  })
})

describe('MaxRecvDataSegmentLength', () => {
  test('offered, each side keeps what the other declared', () => {
    const { keys, outcome } = new Login().send(`${IDENTITY}MaxRecvDataSegmentLength=65536\0`)
    expect(keys.get('MaxRecvDataSegmentLength')).toBe('262144')
    expect(outcome!.parameters).toMatchObject({
      initiatorMaxRecvDataSegmentLength: 65536,
      targetMaxRecvDataSegmentLength: 262144,
    })
  })

  test('absent, the initiator takes 8192 and hears what we take', () => {
    const { keys, outcome } = new Login().send(IDENTITY)
    expect(keys.get('MaxRecvDataSegmentLength')).toBe('262144')
    expect(outcome!.parameters.initiatorMaxRecvDataSegmentLength).toBe(8192)
  })

  test.each(['511', '16777216', '0', 'many'])('as %j it is rejected and both sides stay at 8192', value => {
    const { keys, outcome } = new Login().send(`${IDENTITY}MaxRecvDataSegmentLength=${value}\0`)
    expect(keys.get('MaxRecvDataSegmentLength')).toBe('Reject')
    expect(outcome!.parameters).toMatchObject({
      initiatorMaxRecvDataSegmentLength: 8192,
      targetMaxRecvDataSegmentLength: 8192,
    })
  })

  test('we declare ours once, however many requests there are', () => {
    const login = new Login()
    const first = login.send(IDENTITY, { transit: false, nsg: 0 })
    const second = login.send('MaxRecvDataSegmentLength=4096\0')
    expect(first.keys.get('MaxRecvDataSegmentLength')).toBe('262144')
    expect(second.keys.has('MaxRecvDataSegmentLength')).toBe(false)
    expect(second.outcome!.parameters.initiatorMaxRecvDataSegmentLength).toBe(4096)
  })

  test('repeated it ends the login', () => {
    const twice = 'MaxRecvDataSegmentLength=4096\0'.repeat(2)
    expect(new Login().send(`${IDENTITY}${twice}`).status).toBe(0x0200)
  })
})
