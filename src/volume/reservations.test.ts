import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryStateStorage } from '../../test/lib/memory-state-storage.ts'
import type { ClientIdentity } from './client-identity.ts'
import { decodeReservations, encodeReservations } from './reservations/reservation-codec.ts'
import { NO_RESERVATIONS, type ReservationState, ReservationType } from './reservations/reservation-state.ts'
import type { ReservationNotice } from './reservations/step-reservations.ts'
import { Reservations } from './reservations.ts'

const client = (isid: string): ClientIdentity => ({
  protocol: 'iscsi',
  initiatorName: 'iqn.2026-11.test:one',
  isid,
  targetPortalGroupTag: 1,
})
const A = client('00000000000a')
const B = client('00000000000b')
const { exclusiveAccess } = ReservationType

const register = (newKey: bigint, persist = false) =>
  ({ do: 'registerAndIgnoreExistingKey', newKey, persist }) as const

async function reservedByA(storage: MemoryStateStorage, persist = false): Promise<Reservations> {
  const reservations = new Reservations(storage)
  await reservations.change(A, register(1n, persist))
  await reservations.change(B, register(2n, persist))
  await reservations.change(A, { do: 'reserve', key: 1n, type: exclusiveAccess })
  return reservations
}

test('a restart keeps what was registered with APTPL, with PRGENERATION 0, and forgets the rest', async () => {
  for (const persist of [true, false]) {
    const storage = new MemoryStateStorage()
    await reservedByA(storage, persist)
    const after = new Reservations(storage)
    await after.load({ afterPowerLoss: true })
    expect(after.state.registrations.length).toBe(persist ? 2 : 0)
    expect(after.state.generation).toBe(0)
    expect(after.permits(B, 'read')).toBe(!persist)
  }
})

test('what a restart ended does not come back with a later reload', async () => {
  const storage = new MemoryStateStorage()
  await reservedByA(storage)
  const after = new Reservations(storage)
  await after.load({ afterPowerLoss: true })
  await after.load({ afterPowerLoss: false })
  expect(after.state.registrations).toEqual([])
})

test('another gateway that loads the state enforces it, APTPL or not', async () => {
  const storage = new MemoryStateStorage()
  await reservedByA(storage)
  const other = new Reservations(storage)
  await other.load({ afterPowerLoss: false })
  expect(other.permits(B, 'read')).toBe(false)
  expect(other.permits(A, 'write')).toBe(true)
})

test('permits follows each change, for clients that asked before', async () => {
  const reservations = await reservedByA(new MemoryStateStorage())
  expect(reservations.permits(B, 'write')).toBe(false)
  await reservations.change(B, { do: 'preempt', key: 2n, victimKey: 1n, type: exclusiveAccess })
  expect(reservations.permits(B, 'write')).toBe(true)
  expect(reservations.permits(A, 'read')).toBe(false)
})

test('a change that could not be stored fails and is not in force', async () => {
  const storage = new MemoryStateStorage()
  const reservations = await reservedByA(storage)
  storage.failure = { error: new Error('no quorum'), appliesAnyway: false }
  await expect(reservations.change(A, { do: 'clear', key: 1n })).rejects.toThrow('no quorum')
  expect(reservations.permits(B, 'read')).toBe(false)
  storage.failure = null
  expect(await reservations.change(A, { do: 'clear', key: 1n })).toBe('done')
  expect(reservations.permits(B, 'read')).toBe(true)
})

test('a change that was stored although the store said otherwise is found before the next one', async () => {
  const storage = new MemoryStateStorage()
  const reservations = await reservedByA(storage)
  storage.failure = { error: new Error('timed out'), appliesAnyway: true }
  await expect(reservations.change(A, register(9n))).rejects.toThrow('timed out')
  storage.failure = null
  expect(await reservations.change(A, { do: 'clear', key: 1n })).toBe('conflict')
  expect(await reservations.change(A, { do: 'clear', key: 9n })).toBe('done')
})

test('a change that another gateway made first is not overwritten', async () => {
  const storage = new MemoryStateStorage()
  const one = await reservedByA(storage)
  const two = new Reservations(storage)
  await two.load({ afterPowerLoss: false })
  await two.change(B, register(22n))
  await expect(one.change(A, register(11n))).rejects.toThrow('somebody else')
  expect(await one.change(A, register(11n))).toBe('done')
  expect(one.state.registrations.map(({ key }) => key)).toEqual([11n, 22n])
})

test('listeners hear notices, and preempt and abort waits for the commands to be gone', async () => {
  const reservations = await reservedByA(new MemoryStateStorage())
  const notices: ReservationNotice[] = []
  const steps: string[] = []
  const stop = reservations.listen({
    reservationNotice: notice => notices.push(notice),
    abortTasksOf: async () => {
      steps.push(`in force: ${reservations.permits(B, 'write')}`)
      await new Promise(resolve => setImmediate(resolve))
      steps.push('aborted')
    },
    unitReservationChanged: () => {},
  })
  const action = { do: 'preemptAndAbort', key: 2n, victimKey: 1n, type: exclusiveAccess } as const
  await reservations.change(B, action).then(() => steps.push('status'))
  expect(steps).toEqual(['in force: true', 'aborted', 'status'])
  expect(notices.map(({ kind }) => kind)).toEqual(['registrationsPreempted'])
  stop()
  await reservations.change(B, { do: 'clear', key: 2n })
  expect(notices.length).toBe(1)
})

test('the next change is carried out while commands are taken back, the status of preempt and abort waits', async () => {
  const reservations = await reservedByA(new MemoryStateStorage())
  let gone = () => {}
  const isGone = new Promise<void>(resolve => {
    gone = resolve
  })
  reservations.listen({
    reservationNotice: () => {},
    abortTasksOf: () => isGone,
    unitReservationChanged: () => {},
  })
  const steps: string[] = []
  const action = { do: 'preemptAndAbort', key: 2n, victimKey: 1n, type: exclusiveAccess } as const
  const preempted = reservations.change(B, action).then(result => steps.push(`preempt ${result}`))
  steps.push(`victim ${await reservations.change(A, { do: 'clear', key: 1n })}`)
  gone()
  await preempted
  expect(steps).toEqual(['victim conflict', 'preempt done'])
})

test('the stored form gives back any state, and a form of another version is refused', () => {
  const registration = fc.record({
    registrant: fc.string(),
    initiatorName: fc.string(),
    isid: fc.stringMatching(/^[0-9a-f]{12}$/),
    targetPortalGroupTag: fc.nat(65535),
    key: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  })
  const anyState: fc.Arbitrary<ReservationState> = fc.record({
    generation: fc.nat(),
    persistsThroughPowerLoss: fc.boolean(),
    registrations: fc.array(registration),
    reservation: fc.option(
      fc.record({
        type: fc.constantFrom(...Object.values(ReservationType)),
        holder: fc.option(fc.string()),
      }),
    ),
  })
  fc.assert(
    fc.property(anyState, state => {
      expect(decodeReservations(encodeReservations(state))).toEqual(state)
    }),
  )
  const bytes = encodeReservations(NO_RESERVATIONS)
  bytes[4] = 2
  expect(() => decodeReservations(bytes)).toThrow('does not know')
})

test('RESERVE (6) and a registration that arrive together: the one that came first stands alone', async () => {
  const registered = new Reservations(new MemoryStateStorage())
  const registering = registered.change(A, register(1n))
  expect(registered.reserveUnit(B)).toBe(false)
  expect(await registering).toBe('done')
  await registered.change(A, register(0n))
  expect(registered.reserveUnit(B)).toBe(true)
  expect(await registered.change(A, register(1n))).toBe('conflict')
  registered.releaseUnit(B)
  expect(await registered.change(A, register(1n))).toBe('done')
})

test('RESERVE (6): the object that stands for the holding nexus is the holder, an equal one is not', () => {
  const reservations = new Reservations(new MemoryStateStorage())
  const lostBy: unknown[] = []
  reservations.listen({
    reservationNotice: () => {},
    abortTasksOf: async () => {},
    unitReservationChanged: holder => lostBy.push(holder),
  })
  reservations.reserveUnit(A)
  expect(reservations.permits({ ...A }, 'read')).toBe(false)
  reservations.releaseUnit({ ...A })
  expect(reservations.permits(A, 'write')).toBe(true)
  expect(reservations.permits(B, 'read')).toBe(false)
  reservations.endUnitReservation()
  expect(reservations.permits(B, 'read')).toBe(true)
  expect(lostBy).toEqual([null, A])
  reservations.reserveUnit(B)
  reservations.releaseUnit(B)
  expect(lostBy.slice(2)).toEqual([null, null])
})
